# docker build --network host --target door -t nfknock .
#
#   build ─▶ production ─▶ door    the daemon, and nothing else; deploy/docker/start says how it starts
#     ├──▶ replay                  plays captures onto the lab's wire
#     └──▶ unit                    the unit tests on this Node.js
#   lab, observe, engine           the other machines of the lab: clients and services, Prometheus, a fleet's Redis
#
# Where no registry is reached, scripts/offline-images.sh makes the two images that this begins with. What needs
# nothing from `build` comes first, since older builders make every stage down to the one that is asked for.

FROM debian:bookworm-slim AS lab
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      busybox hping3 iproute2 iputils-ping knockd netcat-openbsd nmap openssh-client openssh-server tcpreplay wget \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
 && useradd --create-home --shell /bin/sh owner \
 && install -d -m 0755 /run/sshd /keys /srv/web
COPY test/lab/bin /usr/local/bin

FROM debian:bookworm-slim AS observe
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/*
USER prometheus
WORKDIR /tmp
ENTRYPOINT ["prometheus"]

FROM debian:bookworm-slim AS engine
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends openssl redis-server \
 && rm -rf /var/lib/apt/lists/*
COPY test/lab/bin/lab-engine /usr/local/bin

FROM node:24-bookworm-slim AS build
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3 make g++ \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /usr/lib/nfknock
# What npm installs changes less often than the sources do. Node's headers lie beside it, so that nothing has to
# be fetched to compile against them; but since 24.19 an add-on made of node::ObjectWrap, as better-sqlite3 12 is,
# ends the process in a collection of garbage (https://github.com/nodejs/node/issues/65446). What is compiled here is
# compiled without the hooks that do so, as every Node.js before had it.
COPY package.json package-lock.json ./
COPY native native
RUN mkdir /usr/src/node \
 && cp -r /usr/local/include /usr/src/node/ \
 && sed -i -E '/^ +(Add|Remove)CleanupHook\(\);$/d' /usr/src/node/include/node/node_object_wrap.h \
 && npm_config_nodedir=/usr/src/node npm ci --no-audit --no-fund
COPY LICENSE tsconfig.json tsconfig.build.json rolldown.config.mjs rolldown.charting.mjs rolldown.client.mjs ./
COPY scripts/licences.mjs scripts/
COPY client client
COPY iptables iptables
COPY src src
RUN npm run build

FROM build AS production
COPY scripts/production.mjs scripts/install-only.mjs scripts/
# Packages that the program needs, without what only compiling them needed.
RUN mkdir -p /out/node_modules \
 && node scripts/production.mjs > /tmp/production \
 && while read -r package; do \
      mkdir -p "/out/node_modules/$package" && cp -rL "node_modules/$package/." "/out/node_modules/$package/" || exit 1; \
    done < /tmp/production \
 && rm -rf /out/node_modules/better-sqlite3/deps /out/node_modules/better-sqlite3/src \
 && find /out/node_modules -path '*/build/Release/obj*' -prune -exec rm -rf {} + \
 && find dist -name '*.map' -delete \
 # The client is a package of its own.
 && rm -rf dist/nfknock-client* \
 && cp -r dist iptables package.json /out/ \
 # Node.js alone, without npm, headers and symbols.
 && strip -o /usr/lib/node-alone /usr/local/bin/node

FROM debian:bookworm-slim AS door
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends iptables ipset libcap2-bin libstdc++6 \
 && groupadd --gid 900 nfknock \
 && useradd --uid 900 --gid 900 --no-create-home --home-dir /var/lib/nfknock --shell /usr/sbin/nologin nfknock \
 && install -d -o nfknock -g nfknock -m 0750 /run/nfknock /var/lib/nfknock \
 # The daemon's one capability, for the daemon's user alone: see deploy/docker/start.
 && install -D -o root -g nfknock -m 0750 /usr/bin/setpriv /usr/local/libexec/nfknock-privileges \
 && setcap cap_net_admin+ep /usr/local/libexec/nfknock-privileges \
 && apt-get purge -y -q --auto-remove libcap2-bin \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old
COPY --from=production /usr/lib/node-alone /usr/local/bin/node
COPY --from=production /out /usr/lib/nfknock
COPY deploy/nfknock-knock.sh /usr/lib/nfknock/deploy/
COPY deploy/docker/start /usr/local/libexec/nfknock-start
RUN ln -s ../lib/nfknock/dist/bin/nfknock.js /usr/bin/nfknock \
 && chmod 0755 /usr/lib/nfknock/dist/bin/nfknock.js /usr/local/libexec/nfknock-start
USER nfknock
ENTRYPOINT ["/usr/local/libexec/nfknock-start"]
CMD ["run"]

FROM build AS replay
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends tcpreplay \
 && rm -rf /var/lib/apt/lists/*
COPY test/golden/replay test/golden/replay
COPY test/lab test/lab
RUN node_modules/.bin/tsc -p test/lab/tsconfig.json
COPY test/fixtures/captures /captures
COPY test/golden/replay /golden
ENTRYPOINT ["node", "dist/lab/test/lab/main.js"]

FROM build AS unit
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    fwknop-client git groff iptables ipset netcat-openbsd oathtool openssh-client openssl procps redis-server xxd \
 && rm -rf /var/lib/apt/lists/*
COPY . .
# The tests that need root are for the machine, not for a container. Vitest writes beside its configuration.
RUN chown nobody . node_modules
USER nobody
ENV HOME=/tmp
CMD ["node_modules/.bin/vitest", "run", "--project", "unit"]
