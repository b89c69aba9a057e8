# The one image: operator, engine in its job pods, and command-line tool.
#
# Build it with Docker or buildah: docker build --tag pgpack-operator .
# Behind a private registry or certificate authority, hand npm its configuration and the authorities
# (named as cafile=/run/secrets/npmca in the configuration) as secrets, which stay out of every layer:
#   docker build --secret id=npmrc,src=$HOME/.npmrc --secret id=npmca,src=authorities.pem .

# Where Node and npm come from.
ARG BASE_IMAGE=node:24-bookworm-slim
# What the result is made on: a C++ runtime is all that Node asks of it.
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Installing runs no package's script: the native modules bring prebuilt binaries.
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=secret,id=npmca \
    --mount=type=cache,target=/root/.npm \
    npm ci --omit=dev --ignore-scripts

FROM dependencies AS build
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=secret,id=npmca \
    --mount=type=cache,target=/root/.npm \
    npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.ts scripts/bundle.ts scripts/
COPY src src
RUN npm run build

FROM ${RUNTIME_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY package.json /app/
# All else is bundled into dist.
COPY --from=dependencies /app/node_modules/lz4-napi /app/node_modules/lz4-napi
COPY --from=dependencies /app/node_modules/@antoniomuso /app/node_modules/@antoniomuso
COPY --from=build /app/dist /app/dist
# A job pod's memory is mostly buffers of a mebibyte, which src/memory.ts frees as soon as they are used. glibc keeps a few
# for the next ones, so that the kernel does not clear each anew (a quarter of a restore's CPU time), but not in an arena
# for each thread; lz4-napi's allocator would keep all of them for ten seconds.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=2 \
    MALLOC_MMAP_THRESHOLD_=4194304 \
    MALLOC_TRIM_THRESHOLD_=8388608 \
    MIMALLOC_PURGE_DELAY=0
WORKDIR /app
USER 65532:65532
ENTRYPOINT ["node", "/app/dist/main.js"]
