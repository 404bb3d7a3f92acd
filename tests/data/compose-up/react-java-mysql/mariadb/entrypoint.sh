#!/bin/sh
# a stand-in for the database: counts its starts in the volume, and answers with what it was given
echo "start of $*"
test -n "$MYSQL_DATABASE" || { echo "MYSQL_DATABASE is not set"; exit 1; }
echo start >> /var/lib/mysql/starts
echo ok > /var/lib/mysql/ping
{
    echo "database=$MYSQL_DATABASE"
    echo "password=$(cat "${MYSQL_ROOT_PASSWORD_FILE:-/dev/null}")"
    echo "starts=$(wc -l < /var/lib/mysql/starts)"
    echo "command=$*"
} > /var/lib/mysql/index.html
exec httpd -f -p 3306 -h /var/lib/mysql
