#!/bin/sh
# Makes the random secrets that compose.yaml hands in as files. What is there already stays as it is.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
[ -e secrets/master_key ] || random > secrets/master_key
[ -e secrets/admin_token ] || printf 'wka_%s' "$(random)" > secrets/admin_token
[ -e secrets/database_password ] || random > secrets/database_password
[ -e secrets/database_url ] ||
    printf 'postgresql://wicket:%s@database:5432/wicket' "$(cat secrets/database_password)" > secrets/database_url
# Compose mounts these files as they are, and the containers' own users must be able to read them.
chmod 0644 secrets/*
chmod 0700 secrets
