#!/bin/bash
# Stops what start.sh began, by the process ids that the servers noted.
B=/var/bench
postfix -c $B/postfix/conf stop
doveadm -c $B/dovecot.conf stop
