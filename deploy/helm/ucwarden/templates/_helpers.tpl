{{- define "ucwarden.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: pods, claims and the StatefulSet's revision label append to it. */}}
{{- define "ucwarden.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "ucwarden.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ucwarden.selector" -}}
app.kubernetes.io/name: {{ include "ucwarden.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ucwarden.labels" -}}
{{ include "ucwarden.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ucwarden.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "ucwarden.serviceAccount" -}}
{{- default (include "ucwarden.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/*
The environment name of a configuration key: databricks.host is UCWARDEN_DATABRICKS_HOST.
*/}}
{{- define "ucwarden.env" -}}
UCWARDEN_{{ . | upper | replace "." "_" }}
{{- end -}}

{{/*
Where a configuration key is set, and its value, as JSON {"at": ..., "value": ...}; at is empty where it is not set.
Takes {root, key, properties}. The order is that of the program: environment, then file.
*/}}
{{- define "ucwarden.lookup" -}}
{{- $root := .root -}}
{{- $found := dict "at" "" "value" "" -}}
{{- $env := $root.Values.env -}}
{{- $name := include "ucwarden.env" .key -}}
{{- $properties := dict -}}
{{- if $root.Values.properties -}}
{{- $properties = include "ucwarden.parsedProperties" $root | fromJson -}}
{{- end -}}
{{- if hasKey $env $name -}}
{{- $found = dict "at" (printf "env.%s" $name) "value" (get $env $name) -}}
{{- else -}}
{{- range .properties -}}
{{- if and (not $found.at) (hasKey $env .) -}}
{{- $found = dict "at" (printf "env.%s" .) "value" (get $env .) -}}
{{- end -}}
{{- end -}}
{{- range .properties -}}
{{- if and (not $found.at) (hasKey $properties .) -}}
{{- $found = dict "at" (printf "properties: %s" .) "value" (get $properties .) -}}
{{- end -}}
{{- end -}}
{{- if not $found.at -}}
{{- range $file := list (dict "at" "properties: " "values" $properties) (dict "at" "config." "values" $root.Values.config) -}}
{{- $result := include "ucwarden.walk" (dict "values" $file.values "path" $.key) | fromJson -}}
{{- if and (not $found.at) $result.found -}}
{{- $found = dict "at" (printf "%s%s" $file.at $.key) "value" $result.value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* The value at a path of a mapping whose keys may have dots, as JSON {"found": ..., "value": ...}. */}}
{{- define "ucwarden.walk" -}}
{{- $result := dict "found" false "value" "" -}}
{{- range $key, $value := .values -}}
{{- if eq $key $.path -}}
{{- if not (kindIs "map" $value) -}}
{{- $result = dict "found" (not (kindIs "invalid" $value)) "value" $value -}}
{{- end -}}
{{- else if and (kindIs "map" $value) (hasPrefix (printf "%s." $key) $.path) -}}
{{- $below := include "ucwarden.walk" (dict "values" $value "path" (trimPrefix (printf "%s." $key) $.path)) | fromJson -}}
{{- if $below.found -}}
{{- $result = $below -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $result | toJson -}}
{{- end -}}

{{- define "ucwarden.parsedProperties" -}}
{{- $parsed := fromYaml .Values.properties -}}
{{- if hasKey $parsed "Error" -}}
{{- fail (printf "properties: not a YAML mapping of names to values: %s" (get $parsed "Error")) -}}
{{- end -}}
{{- $parsed | toJson -}}
{{- end -}}

{{/* "true" where a boolean configuration key is on, else empty. Takes {root, key, properties, default}. */}}
{{- define "ucwarden.on" -}}
{{- $found := include "ucwarden.lookup" . | fromJson -}}
{{- if $found.at -}}
{{- $text := $found.value | toString | trim | lower -}}
{{- if has $text (list "true" "yes" "on" "1") -}}true{{- end -}}
{{- else if .default -}}true{{- end -}}
{{- end -}}

{{- define "ucwarden.apiOn" -}}
{{- $u := "CONNECTOR_DATABRICKS_UNITY_CATALOG_" -}}
{{- $api := include "ucwarden.on" (dict "root" . "key" "apiserver.enabled" "properties" (list (printf "%sAPI_SERVER_ENABLED" $u)) "default" true) -}}
{{- $tasks := include "ucwarden.on" (dict "root" . "key" "ondemand.enabled" "properties" (list (printf "%sON_DEMAND_V2_ENABLED" $u) "CONNECTOR_ON_DEMAND_V2_ENABLED") "default" true) -}}
{{- if and $api $tasks -}}true{{- end -}}
{{- end -}}

{{- define "ucwarden.external" -}}
{{- include "ucwarden.on" (dict "root" . "key" "apiserver.external_access" "properties" (list "CONNECTOR_DATABRICKS_UNITY_CATALOG_EXTERNAL_ACCESS_ENABLED") "default" false) -}}
{{- end -}}

{{- define "ucwarden.nginx" -}}
{{- include "ucwarden.on" (dict "root" . "key" "apiserver.nginx_ingress" "properties" (list "CONNECTOR_DATABRICKS_UNITY_CATALOG_K8S_NGINX_INGRESS_ENABLE") "default" false) -}}
{{- end -}}

{{- define "ucwarden.ingressOn" -}}
{{- if and (include "ucwarden.external" .) (include "ucwarden.nginx" .) -}}true{{- end -}}
{{- end -}}

{{- define "ucwarden.loadBalancerOn" -}}
{{- if and (include "ucwarden.external" .) (not (include "ucwarden.nginx" .)) -}}true{{- end -}}
{{- end -}}

{{- define "ucwarden.jwks" -}}
/var/lib/ucwarden/keys/{{ .Values.keys.instance }}/api-server/jwks.json
{{- end -}}

{{/* The URL that callers use, as a service-urls.txt has it. */}}
{{- define "ucwarden.url" -}}
{{- if include "ucwarden.ingressOn" . -}}
https://{{ .Values.ingress.host }}
{{- else -}}
{{ ternary "https" "http" (ne .Values.tls.secretName "") }}://{{ include "ucwarden.fullname" . }}.{{ .Release.Namespace }}.svc:{{ .Values.service.port }}
{{- end -}}
{{- end -}}

{{/* What the schema cannot say. Each message begins with the name of the value that is wrong. */}}
{{- define "ucwarden.validate" -}}
{{- if and .Values.config .Values.properties -}}
{{- fail "properties: config is set too; keep one of them, and put further settings under env" -}}
{{- end -}}
{{- range $key, $reference := .Values.secrets -}}
{{- $property := get (include "ucwarden.secretProperties" $ | fromYaml) $key -}}
{{- $found := include "ucwarden.lookup" (dict "root" $ "key" $key "properties" (compact (list $property))) | fromJson -}}
{{- if $found.at -}}
{{- fail (printf "secrets.%s: also set inline (%s); keep one of them" $key $found.at) -}}
{{- end -}}
{{- end -}}
{{- range $key, $property := include "ucwarden.secretProperties" . | fromYaml -}}
{{- range compact (list (include "ucwarden.env" $key) $property) -}}
{{- if or (hasKey $.Values.env .) (hasKey $.Values.env (printf "%s_FILE" .)) -}}
{{- fail (printf "env.%s: a secret; put a reference under secrets.%s" . $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if contains "?" (get .Values.env "UCWARDEN_WEBHOOK_URL" | toString) -}}
{{- fail "env.UCWARDEN_WEBHOOK_URL: its query may be a secret; leave it out, and put a reference under secrets.webhook.query" -}}
{{- end -}}
{{- $own := dict "store.path" "the volume" "apiserver.addr" "service.port" "apiserver.admin_addr" "the probes" -}}
{{- if .Values.tls.secretName -}}
{{- $own = merge $own (dict "apiserver.tls.cert" "tls.secretName" "apiserver.tls.key" "tls.secretName") -}}
{{- end -}}
{{- if .Values.keys.generate -}}
{{- $own = merge $own (dict "apiserver.jwt.jwks" "keys.generate") -}}
{{- end -}}
{{- if .Values.policies.configMap -}}
{{- $own = merge $own (dict "policies.path" "policies.configMap") -}}
{{- end -}}
{{- range $key, $by := $own -}}
{{- $found := include "ucwarden.lookup" (dict "root" $ "key" $key "properties" list) | fromJson -}}
{{- if $found.at -}}
{{- fail (printf "%s: set by the chart (%s); leave it out" $found.at $by) -}}
{{- end -}}
{{- end -}}
{{- if include "ucwarden.external" . -}}
{{- if not (include "ucwarden.apiOn" .) -}}
{{- fail "apiserver.external_access: there is no API to expose: apiserver.enabled and ondemand.enabled must be on" -}}
{{- end -}}
{{- if include "ucwarden.nginx" . -}}
{{- if not .Values.ingress.host -}}
{{- fail "ingress.host: needed with apiserver.nginx_ingress" -}}
{{- end -}}
{{- if not .Values.ingress.tls.secretName -}}
{{- fail "ingress.tls.secretName: needed with apiserver.external_access: tokens must not travel in plain HTTP" -}}
{{- end -}}
{{- else if not .Values.tls.secretName -}}
{{- fail "tls.secretName: needed with apiserver.external_access: tokens must not travel in plain HTTP" -}}
{{- end -}}
{{- else if .Values.ingress.host -}}
{{- fail "ingress.host: without effect unless apiserver.external_access and apiserver.nginx_ingress are on" -}}
{{- end -}}
{{- if and .Values.ingress.host (not (include "ucwarden.nginx" .)) -}}
{{- fail "ingress.host: without effect unless apiserver.nginx_ingress is on" -}}
{{- end -}}
{{- end -}}

{{/* The secrets of the configuration: key to property. Compared with the code by a test. */}}
{{- define "ucwarden.secretProperties" -}}
databricks.token: CONNECTOR_DATABRICKS_UNITY_CATALOG_API_ACCESS_TOKEN
databricks.client_secret: CONNECTOR_DATABRICKS_UNITY_CATALOG_OAUTH_CLIENT_SECRET
apiserver.jwt.hs256_secret: ""
webhook.secret: ""
webhook.query: ""
tracing.headers: ""
ondemand.eventhub.connection_string: CONNECTOR_ON_DEMAND_V2_AZURE_CONNECTION_STRING
ondemand.eventhub.entra.client_secret: ""
policies.ranger.password: ""
{{- end -}}
