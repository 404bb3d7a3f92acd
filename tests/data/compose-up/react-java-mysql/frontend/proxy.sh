# serves what the backend says, a file of the bound folder and one of the anonymous volume
mkdir -p /www
until wget -q -O /www/index.html http://backend:8080/; do usleep 100000; done
cat /code/src/App.js /project/node_modules/marker >> /www/index.html
exec httpd -f -p 3000 -h /www
