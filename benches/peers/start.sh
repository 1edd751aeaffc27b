#!/bin/bash
# Runs inside the unpacked root: makes the state anew under /var/bench, starts both servers, prints `ready`.
set -eu
ulimit -n 65536 2>/dev/null || true
B=/var/bench
users=${PEER_USERS:-1000}
mkdir -p $B/postfix/queue $B/postfix/data $B/postfix/conf $B/dovecot/run $B/dovecot/state $B/dovecot/mail
cp /etc/peers/main.cf /etc/peers/master.cf $B/postfix/conf/
chown postfix $B/postfix/data
chown vmail:vmail $B/dovecot/mail
chmod 755 $B $B/postfix $B/dovecot
: >$B/dovecot/users
: >$B/postfix/mailboxes
i=0
while [ $i -lt "$users" ]; do
    printf 'user%d@example.test:{PLAIN}secret%d\n' $i $i >>$B/dovecot/users
    printf 'user%d@example.test OK\n' $i >>$B/postfix/mailboxes
    i=$((i + 1))
done
if [ ! -e $B/dovecot/cert.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=peer.test \
        -keyout $B/dovecot/key.pem -out $B/dovecot/cert.pem >/dev/null 2>&1
fi
postmap -c $B/postfix/conf hash:$B/postfix/mailboxes
postfix -c $B/postfix/conf set-permissions >/dev/null 2>&1 || true
sed "s/^mail_fsync = .*/mail_fsync = ${PEER_MAIL_FSYNC:-optimized}/" /etc/peers/dovecot.conf >$B/dovecot.conf
dovecot -c $B/dovecot.conf
postfix -c $B/postfix/conf start
echo ready
