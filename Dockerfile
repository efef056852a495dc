# One static binary and the CA certificates, nothing else. Needs no more than a read-only root and no rights; only
# the stage for Cortex runs as root, because nobody else may read the folder of a job.
#
#   docker build -t cordon .                               every command; what it runs comes behind the name
#   docker build -t cordon-falcon --target crowdstrike .   a Sekoia module: its argument is the action
#   docker build -t cordon-cortex --target cortex .        the responders of TheHive Cortex
#
# The builder is another image with cargo, a C compiler and CA certificates, or nothing but files:
#
#   docker build --build-arg RUST_IMAGE=localhost/my-rust .
#   docker build --build-arg FILES=prebuilt -f Dockerfile FOLDER    with `cordon` (static) and
#                                                                   `ca-certificates.crt` in FOLDER
#   docker build --build-arg FILES=localhost/my-files .             with /out/cordon and /out/etc/ssl/certs

ARG RUST_IMAGE=rust:1.95-bookworm
ARG FILES=build

FROM ${RUST_IMAGE} AS build
WORKDIR /source
COPY . .
# With its own C library inside, and without symbols. The target is named so that only what runs later is built so, not what the
# build itself runs.
RUN set -eu; \
    host="$(rustc -vV | sed -n 's/^host: //p')"; \
    RUSTFLAGS='-C target-feature=+crt-static -C link-arg=-Wl,--icf=all,-z,pack-relative-relocs' \
        cargo build --release --locked --bin cordon --target "$host" --target-dir /target; \
    install -D "/target/$host/release/cordon" /out/cordon; \
    install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM scratch AS prebuilt
COPY --chmod=0755 cordon /out/cordon
COPY --chmod=0644 ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM ${FILES} AS files

FROM scratch AS cordon
LABEL org.opencontainers.image.title="Cordon" \
    org.opencontainers.image.description="Puts indicators on the right EDR, proxy or firewall, and takes them down again on time" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=files /out/ /
USER 65532:65532
ENTRYPOINT ["/cordon"]

FROM cordon AS crowdstrike
ENTRYPOINT ["/cordon", "sekoia", "crowdstrike"]

FROM cordon AS fortinet
ENTRYPOINT ["/cordon", "sekoia", "fortinet"]

FROM cordon AS paloalto
ENTRYPOINT ["/cordon", "sekoia", "paloalto"]

FROM cordon AS sekoia
ENTRYPOINT ["/cordon", "sekoia", "sekoia"]

FROM cordon AS sentinelone
ENTRYPOINT ["/cordon", "sekoia", "sentinelone"]

FROM cordon AS zscaler
ENTRYPOINT ["/cordon", "sekoia", "zscaler"]

# Cortex makes the job folder for its own user alone.
FROM cordon AS cortex
USER 0:0
ENTRYPOINT ["/cordon", "run", "--dialect", "cortex", "--job"]
CMD ["/job"]

# The last one is built where none is named.
FROM cordon
