{{/* The name of the chart's objects: the release's name, with the chart's unless it has that already. */}}
{{- define "rk-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "rk-exporter.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "rk-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Not empty if several pods share the apps. */}}
{{- define "rk-exporter.sharded" -}}
{{- if gt (int .Values.shards) 1 -}}true{{- end -}}
{{- end -}}

{{/* The name of the StatefulSet. A label of its pods has it with a dash and a hash behind it, of 63 characters at most. */}}
{{- define "rk-exporter.statefulSet" -}}
{{- include "rk-exporter.fullname" . | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the Service that gives each shard a name in the DNS. */}}
{{- define "rk-exporter.headless" -}}
{{- printf "%s-shards" (include "rk-exporter.fullname" . | trunc 56 | trimSuffix "-") -}}
{{- end -}}

{{- define "rk-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rk-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rk-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "rk-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "rk-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rk-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rk-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The Secret with the token; empty if the configuration brings all tokens. */}}
{{- define "rk-exporter.tokenSecret" -}}
{{- if .Values.token.existingSecret -}}
{{- .Values.token.existingSecret -}}
{{- else if .Values.token.value -}}
{{- include "rk-exporter.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The configuration file. The list of meetings is named in it, unless there are several apps. */}}
{{- define "rk-exporter.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if and .Values.meetings $config.app_id (not $config.apps) -}}
{{- $meetings := deepCopy (default dict $config.meetings) -}}
{{- $_ := set $meetings "files" (concat (default list $meetings.files) (list "meetings.yml")) -}}
{{- $_ := set $config "meetings" $meetings -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* What is missing before the exporter can start. Every template that is always rendered calls it. */}}
{{- define "rk-exporter.validate" -}}
{{- if not .Values.demo -}}
{{- $config := .Values.config -}}
{{- $many := or $config.apps $config.accounts -}}
{{- if not (or $many (and $config.account_id $config.app_id)) -}}
{{- fail "\n\nNo app is configured. Set config.account_id and config.app_id, or config.apps, or config.accounts, or run the demo: --set demo=true" -}}
{{- end -}}
{{- if not (or (include "rk-exporter.tokenSecret" .) $many) -}}
{{- fail "\n\nThe API token is missing. Create a Secret and name it: kubectl create secret generic cloudflare --from-file=api-token=FILE; --set token.existingSecret=cloudflare" -}}
{{- end -}}
{{- if and .Values.meetings (not $config.app_id) (not $config.apps) -}}
{{- fail "\n\nAccounts find their meetings themselves. To read those in the value meetings, list their app in config.apps with meetings: {files: [meetings.yml]}." -}}
{{- end -}}
{{- if hasKey $config "shard" -}}
{{- fail "\n\nSet the value shards instead of config.shard. The pods of a release have one configuration, so each takes its shard from its name." -}}
{{- end -}}
{{- if and .Values.web.existingSecret (eq .Values.probes.readinessPath "/-/ready") -}}
{{- fail "\n\nWith web.existingSecret, probes.readinessPath must be /-/healthy, because Kubernetes has no certificate and no password." -}}
{{- end -}}
{{- if and .Values.token.existingSecret .Values.token.value -}}
{{- fail "\n\nSet either token.existingSecret or token.value." -}}
{{- end -}}
{{- end -}}
{{- if include "rk-exporter.sharded" . -}}
{{- include "rk-exporter.validateShards" . -}}
{{- end -}}
{{- end -}}

{{/* What cannot be shared by several pods. */}}
{{- define "rk-exporter.validateShards" -}}
{{- $config := .Values.config -}}
{{- if .Values.demo -}}
{{- fail "\n\nThe demo has no shards. Set shards=1, or demo=false." -}}
{{- end -}}
{{- if not (or $config.apps $config.accounts) -}}
{{- fail "\n\nShards divide apps, and config.app_id names only one. Set shards=1, or list several apps in config.apps, or read whole accounts with config.accounts." -}}
{{- end -}}
{{- if .Values.state.persistence.existingClaim -}}
{{- fail "\n\nShards cannot share state.persistence.existingClaim, because each has a state file of its own. Leave it out: each pod then gets its own claim." -}}
{{- end -}}
{{- if .Values.webhook.enabled -}}
{{- fail "\n\nA Service sends each webhook to any of the shards, but only one of them reads the app. Set shards=1 or webhook.enabled=false." -}}
{{- end -}}
{{- $budget := (default dict $config.api).budget -}}
{{- if and $budget (lt (int $budget) (int .Values.shards)) -}}
{{- fail (printf "\n\nconfig.api.budget=%v is too small for %d shards: each needs at least one call. Raise it, or set fewer shards." $budget (int .Values.shards)) -}}
{{- end -}}
{{- end -}}

{{/* How a probe asks. Kubernetes has no client certificate and no password, so it runs the image's own health check. */}}
{{- define "rk-exporter.probe" -}}
{{- if and .root.Values.web.existingSecret (not .root.Values.demo) -}}
exec:
  command: [python, -m, rk_exporter.web.healthcheck]
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
{{- end -}}
{{- end -}}

{{/* A template of rules or dashboards with the chart's values: `rk-exporter assets` fills it in the same way. */}}
{{- define "rk-exporter.filled" -}}
{{- $values := .root.Values -}}
{{- $text := regexReplaceAll "\"@#([A-Za-z_.]+=[^@]*@)\"" .text "@${1}" -}}
{{- $set := dict "job" $values.job "cluster_label" $values.clusterLabel -}}
{{- with $values.grafanaUrl }}{{ $_ := set $set "grafana_url" (trimSuffix "/" .) }}{{ end -}}
{{- with $values.prometheusRule.runbookUrl }}{{ $_ := set $set "runbook_url" . }}{{ end -}}
{{- range $key, $value := $values.thresholds -}}
{{- /* Without this, a million is 1e+06. */}}
{{- $_ := set $set $key (ternary (int64 $value) $value (eq (float64 $value) (floor $value))) -}}
{{- end -}}
{{- range $alert, $severity := $values.prometheusRule.severities }}{{ $_ := set $set $alert $severity }}{{ end -}}
{{- range $key, $value := $set -}}
{{- $text = regexReplaceAllLiteral (printf "@%s=[^@]*@" (regexQuoteMeta $key)) $text (toString $value) -}}
{{- end -}}
{{- $text = regexReplaceAll "@[A-Za-z_.]+=([^@]*)@" $text "${1}" -}}
{{- $off := "(?m)(?:^ {6}#.*\n)*^ {6}- alert: .*\n(?:^ {8}.*\n)*?^ {10}severity: \"off\"\n(?:^ {8}.*\n)*" -}}
{{- regexReplaceAllLiteral $off $text "" -}}
{{- end -}}
