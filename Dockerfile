# The image holds the program, its license, and the certificates of public authorities. It has no shell, no packages, and no list of users.
# docs/docker.md explains how to build and run it.

ARG GO_VERSION=1.26
ARG VERSION=devel
ARG REVISION=unknown

FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
WORKDIR /src
# Modules have a separate layer, so that code changes do not download them again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
ARG BUILD_DATE
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -o /out/cloud_quota_exporter -ldflags "-s -w \
    -X github.com/prometheus/common/version.Version=$VERSION \
    -X github.com/prometheus/common/version.Revision=$REVISION \
    -X github.com/prometheus/common/version.BuildDate=$BUILD_DATE" .

FROM scratch
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="cloud_quota_exporter" \
      org.opencontainers.image.description="Prometheus exporter for Huawei Cloud quotas" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY LICENSE /
COPY --from=build /out/cloud_quota_exporter /
# Numeric, so that Kubernetes can check that it is not root.
USER 65532:65532
EXPOSE 10133
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s CMD ["/cloud_quota_exporter", "healthcheck"]
ENTRYPOINT ["/cloud_quota_exporter"]
