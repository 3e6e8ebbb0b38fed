FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN VERSION="$VERSION" deploy/image-rootfs.sh /rootfs

FROM scratch
COPY --from=build /rootfs/etc /etc
COPY --from=build --chown=65532:65532 /rootfs/var/lib/belpoort /var/lib/belpoort
COPY --from=build /rootfs/belpoort /belpoort
# Reachable from outside the container, so it starts only when told how: a certificate, or BELPOORT_PLAINTEXT=true.
ENV BELPOORT_DATA=/var/lib/belpoort BELPOORT_GRPC=0.0.0.0:2357 BELPOORT_HTTP=0.0.0.0:2358 BELPOORT_OPS=0.0.0.0:2359
USER 65532:65532
WORKDIR /var/lib/belpoort
VOLUME /var/lib/belpoort
EXPOSE 2357 2358 2359
ENTRYPOINT ["/belpoort"]
CMD ["serve"]
