{{- define "belpoort.name" -}}
{{- if eq .Release.Name .Chart.Name }}{{ .Chart.Name }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "belpoort.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "belpoort.labels" -}}
{{ include "belpoort.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "belpoort.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "belpoort.account" -}}
{{ .Values.serviceAccount.name | default (ternary (include "belpoort.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* A quantity of memory, in MiB. */ -}}
{{- define "belpoort.mebibytes" -}}
{{- if hasSuffix "Gi" . }}{{ mul 1024 (trimSuffix "Gi" . | int) }}{{ else }}{{ trimSuffix "Mi" . | int }}{{ end }}
{{- end }}

{{- define "belpoort.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "belpoort.pod-security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# Else each mount would open the keys to the group, which the service refuses.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* What the schema cannot say. */ -}}
{{- define "belpoort.sound" -}}
{{- with .Values }}
{{- if and (not .tls.existingSecret) (not .plaintext) }}{{ fail "choose how clients reach the nodes: tls.existingSecret, or plaintext: true where a service mesh encrypts" }}{{ end }}
{{- if and .tls.existingSecret .plaintext }}{{ fail "tls.existingSecret and plaintext exclude each other" }}{{ end }}
{{- if and .tls.clientCA (not .tls.existingSecret) }}{{ fail "tls.clientCA needs tls.existingSecret" }}{{ end }}
{{- if and (gt (int .replicas) 1) (not .ledger.existingSecret) }}{{ fail "more than one node need ledger.existingSecret: a node on its own cannot share its ledger" }}{{ end }}
{{- if and (gt (int .replicas) 1) (not .keys.existingSecret) }}{{ fail "more than one node need keys.existingSecret: they must have the same deployment.key" }}{{ end }}
{{- if and .redis.existingSecret (not .ledger.existingSecret) }}{{ fail "redis.existingSecret needs ledger.existingSecret" }}{{ end }}
{{- if and .agi.enabled (not .plaintext) }}{{ fail "agi.enabled needs plaintext: FastAGI knows no TLS" }}{{ end }}
{{- if and .agi.enabled (not .agi.from) }}{{ fail "agi.enabled needs agi.from, the networks of the exchanges" }}{{ end }}
{{- if lt (int .stop.graceSeconds) (add (int .stop.settleSeconds) 20) }}{{ fail (printf "stop.graceSeconds %v: a node needs 20 seconds after stop.settleSeconds %v" .stop.graceSeconds .stop.settleSeconds) }}{{ end }}
{{- $limit := include "belpoort.mebibytes" .resources.limits.memory | int }}
{{- $cache := index .config "cache-mib" | default 512 | int }}
{{- if gt (mul 10 $cache) (mul 6 $limit) }}{{ fail (printf "config.cache-mib %d: more than 60 %% of resources.limits.memory %s" $cache .resources.limits.memory) }}{{ end }}
{{- if and .drill.enabled (or (not .drill.number) (not .drill.existingSecret)) }}{{ fail "drill.enabled needs drill.number and drill.existingSecret" }}{{ end }}
{{- if and .drill.enabled .tls.clientCA }}{{ fail "drill.enabled has no client certificate: it cannot go with tls.clientCA" }}{{ end }}
{{- end }}
{{- end }}

{{- /* The settings file. */ -}}
{{- define "belpoort.config" -}}
{{- $own := dict }}
{{- with .Values.tls }}
{{- if .existingSecret }}{{ $_ := set $own "tls-cert" "/etc/belpoort/tls/tls.crt" }}{{ $_ := set $own "tls-key" "/etc/belpoort/tls/tls.key" }}{{ end }}
{{- if .clientCA }}{{ $_ := set $own "tls-client-ca" "/etc/belpoort/tls/ca.crt" }}{{ end }}
{{- end }}
{{- if .Values.plaintext }}{{ $_ := set $own "plaintext" true }}{{ end }}
{{- if .Values.keys.existingSecret }}{{ $_ := set $own "api-keys" "/etc/belpoort/api-keys/api-keys.yaml" }}{{ end }}
{{- with .Values.agi }}{{ if .enabled }}{{ $_ := set $own "agi" "0.0.0.0:4573" }}{{ $_ := set $own "agi-from" .from }}{{ end }}{{ end }}
{{- merge $own .Values.config | toYaml }}
{{- end }}
