{{/* The pod: that of the Deployment, or of each shard of the StatefulSet. */}}
{{- define "rk-exporter.pod" -}}
{{- $fullname := include "rk-exporter.fullname" . -}}
{{- $tokenSecret := include "rk-exporter.tokenSecret" . -}}
metadata:
  labels:
    {{- include "rk-exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: exporter
    {{- if not .Values.demo }}
    # Restarts the pod if the configuration changes. Tokens and lists of meetings are read again without it.
    checksum/config: {{ include "rk-exporter.config" . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "rk-exporter.serviceAccountName" . }}
  # The exporter never talks to Kubernetes.
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  containers:
    - name: exporter
      image: {{ include "rk-exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      {{- if .Values.demo }}
      args: [demo, "--web.listen-address=:10058"]
      {{- else }}
      args: [serve]
      {{- end }}
      env:
        - name: RK_WEB_LISTEN_ADDRESS
          value: ":10058"
        {{- if not .Values.demo }}
        - name: RK_CONFIG_FILE
          value: /etc/rk-exporter/config.yml
        {{- if $tokenSecret }}
        - name: RK_API_TOKEN_FILE
          value: /run/secrets/cloudflare/api-token
        {{- end }}
        {{- if .Values.web.existingSecret }}
        - name: RK_WEB_CONFIG_FILE
          value: /etc/rk-exporter-web/web-config.yml
        {{- end }}
        {{- if .Values.webhook.enabled }}
        - name: RK_WEBHOOK_LISTEN_ADDRESS
          value: ":10060"
        {{- end }}
        {{- if .Values.state.enabled }}
        - name: RK_STATE_FILE
          value: /var/lib/rk-exporter/state
        {{- end }}
        {{- if include "rk-exporter.sharded" . }}
        # The pod's name ends with the number of its shard.
        - name: RK_SHARD
          value: auto/{{ int .Values.shards }}
        {{- end }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: http
          containerPort: 10058
          protocol: TCP
        {{- if and .Values.webhook.enabled (not .Values.demo) }}
        - name: webhook
          containerPort: 10060
          protocol: TCP
        {{- end }}
      # A file system that hangs delays the start by 10 s.
      startupProbe:
        {{- include "rk-exporter.probe" (dict "root" . "path" "/-/healthy") | nindent 8 }}
        periodSeconds: 1
        timeoutSeconds: 5
        failureThreshold: 60
      livenessProbe:
        {{- include "rk-exporter.probe" (dict "root" . "path" "/-/healthy") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        {{- include "rk-exporter.probe" (dict "root" . "path" .Values.probes.readinessPath) | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- if not .Values.demo }}
        - name: config
          mountPath: /etc/rk-exporter
          readOnly: true
        {{- if $tokenSecret }}
        - name: token
          mountPath: /run/secrets/cloudflare
          readOnly: true
        {{- end }}
        {{- if .Values.web.existingSecret }}
        - name: web
          mountPath: /etc/rk-exporter-web
          readOnly: true
        {{- end }}
        {{- if .Values.state.enabled }}
        - name: state
          mountPath: /var/lib/rk-exporter
        {{- end }}
        {{- end }}
        # The only other place that can be written.
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if not .Values.demo }}
    - name: config
      configMap:
        name: {{ $fullname }}
    {{- if $tokenSecret }}
    - name: token
      secret:
        secretName: {{ $tokenSecret }}
        # Its group is fsGroup, which is that of the exporter.
        defaultMode: 0440
        items:
          - key: {{ .Values.token.key }}
            path: api-token
    {{- end }}
    {{- with .Values.web.existingSecret }}
    - name: web
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.state.enabled }}
    {{- if not .Values.state.persistence.enabled }}
    - name: state
      emptyDir:
        sizeLimit: {{ .Values.state.sizeLimit }}
    {{- else if not (include "rk-exporter.sharded" .) }}
    - name: state
      persistentVolumeClaim:
        claimName: {{ default $fullname .Values.state.persistence.existingClaim }}
    {{- end }}
    {{- end }}
    {{- end }}
    - name: tmp
      emptyDir:
        medium: Memory
        sizeLimit: 16Mi
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
