{{- define "cloud-quota-exporter.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Name of the objects: that of the release, followed by that of the chart unless the release contains it. */}}
{{- define "cloud-quota-exporter.fullname" -}}
{{- $name := include "cloud-quota-exporter.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{ .Values.fullnameOverride | default $both | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cloud-quota-exporter.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "cloud-quota-exporter.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "cloud-quota-exporter.fullname" .) "default") }}
{{- end }}

{{- define "cloud-quota-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cloud-quota-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Metadata of an object, by (dict "root" $ "of" its values "suffix" of its name). */}}
{{- define "cloud-quota-exporter.metadata" -}}
{{- $of := .of | default dict -}}
{{- $own := dict "app.kubernetes.io/managed-by" .root.Release.Service "app.kubernetes.io/version" .root.Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
name: {{ .name | default (include "cloud-quota-exporter.fullname" .root) }}{{ .suffix }}
namespace: {{ $of.namespace | default (include "cloud-quota-exporter.namespace" .root) }}
labels:
  {{- merge (include "cloud-quota-exporter.selectorLabels" .root | fromYaml) ($of.labels | default dict) ($of.additionalLabels | default dict)
    (.root.Values.commonLabels | default dict) $own | toYaml | nindent 2 }}
{{- with $of.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* As in charts of prometheus-community, the registry of a parent chart takes precedence. */}}
{{- define "cloud-quota-exporter.image" -}}
{{- with (.Values.global).imageRegistry | default .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* Prefix of all paths of the exporter, without a slash at its end. */}}
{{- define "cloud-quota-exporter.routePrefix" -}}
{{- $prefix := .Values.web.routePrefix | default (urlParse (.Values.web.externalURL | default "")).path | trimAll "/" -}}
{{ with $prefix }}/{{ . }}{{ end }}
{{- end }}

{{- /* A shipped file, with the address of the runbooks. The files are symbolic links, which are not everywhere. */}}
{{- define "cloud-quota-exporter.shipped" -}}
{{- $text := .root.Files.Get .file -}}
{{- if not (contains "/runbooks" $text) -}}
{{- printf "%s is a symbolic link, and was not followed. Run helm package in a checkout with symbolic links, and install the package." .file | fail -}}
{{- end -}}
{{- $base := .root.Values.runbookBaseURL | default .root.Values.web.externalURL | default "docs" | trimSuffix "/" -}}
{{ $text | replace "\"docs/runbooks" (printf "\"%s/runbooks" $base) | replace " docs/runbooks" (printf " %s/runbooks" $base) }}
{{- end }}

{{- /* Environment variables. GOMEMLIMIT is 90 % of the memory limit, unless extraEnv has it. */}}
{{- define "cloud-quota-exporter.env" -}}
{{- $limit := dig "limits" "memory" "" (.Values.resources | default dict) | toString -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- $mib := get (dict "" 0.00000095367 "k" 0.00095367 "Ki" 0.00097656 "M" 0.95367 "Mi" 1.0 "G" 953.67 "Gi" 1024.0 "T" 953674.0 "Ti" 1048576.0) $unit -}}
{{- if not $limit -}}{{- $mib = "" -}}{{- end -}}
{{- $env := .Values.extraEnv | default list -}}
{{- range $env -}}{{- if eq .name "GOMEMLIMIT" -}}{{- $mib = "" -}}{{- end -}}{{- end -}}
{{- if $mib -}}
{{- $env = prepend $env (dict "name" "GOMEMLIMIT" "value" (mulf (trimSuffix $unit $limit) $mib 0.9 | floor | int64 | printf "%dMiB")) -}}
{{- end -}}
{{- with $env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The flags that the exporter and its healthcheck have in common, as a list. */}}
{{- define "cloud-quota-exporter.webFlags" -}}
{{- with .Values.web.externalURL }}
- --web.external-url={{ . }}
{{- end }}
{{- with .Values.web.routePrefix }}
- --web.route-prefix={{ . }}
{{- end }}
{{- if .Values.web.existingSecret }}
- --web.config.file=/etc/cloud_quota_exporter_web/web.yml
{{- end }}
{{- end }}

{{- /* Flags of the user. Those that values set, and that probes and scrapes depend on, would be set twice or differ. */}}
{{- define "cloud-quota-exporter.extraArgs" -}}
{{- range .Values.extraArgs }}
{{- $value := get (dict "--config.file" "config" "--log.format" "log.format" "--log.level" "log.level" "--web.config.file" "web.existingSecret"
  "--web.external-url" "web.externalURL" "--web.route-prefix" "web.routePrefix" "--web.telemetry-path" "web.telemetryPath" "--web.listen-address" "service.port") (splitList "=" . | first) }}
{{- with $value }}
{{- printf "extraArgs: set the value %s, not this flag, because other objects depend on it" . | fail }}
{{- end }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* A probe, by (dict "root" $ "path" of its page "times" its times and thresholds). */}}
{{- define "cloud-quota-exporter.probe" -}}
{{- $probes := .root.Values.probes -}}
{{- $type := $probes.type | default (empty .root.Values.web.existingSecret | or (not (empty $probes.httpHeaders)) | ternary "httpGet" "exec") -}}
{{- $times := .times -}}
{{- if eq $type "exec" }}
{{- $times = merge (dict) .times (dict "timeoutSeconds" 6) }}
exec:
  command:
    - /cloud_quota_exporter
    - healthcheck
    {{- with include "cloud-quota-exporter.webFlags" .root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
{{- else if eq $type "tcpSocket" }}
tcpSocket:
  port: http
{{- else }}
httpGet:
  path: {{ include "cloud-quota-exporter.routePrefix" .root }}{{ .path }}
  port: http
  {{- if ne $probes.scheme "HTTP" }}
  scheme: {{ $probes.scheme }}
  {{- end }}
  {{- with $probes.httpHeaders }}
  httpHeaders:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with $times }}
{{ toYaml . }}
{{- end }}
{{- end }}
