# asks the database once, when it is healthy, and passes that on
set -e
mkdir -p /www
wget -q -O /www/index.html "http://$MYSQL_HOST:3306/"
cmp /run/secrets/db-password /run/secrets/db-password
echo "secret of the backend: $(cat /run/secrets/db-password)" >> /www/index.html
echo "backend is up"
exec httpd -f -p 8080 -h /www
