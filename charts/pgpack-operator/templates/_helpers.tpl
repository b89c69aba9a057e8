{{- define "pgpack-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "pgpack-operator.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "pgpack-operator.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pgpack-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pgpack-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "pgpack-operator.labels" -}}
{{ include "pgpack-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "pgpack-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pgpack-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pgpack-operator.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* What the operator may do where its runs are: a Role for each watched namespace, or a ClusterRole. */}}
{{- define "pgpack-operator.rules" -}}
- apiGroups: [pgpack.io]
  resources: [pgpackdumps, pgpackrestores]
  verbs: [get, list, watch]
- apiGroups: [pgpack.io]
  resources: [pgpackdumps/status, pgpackrestores/status]
  verbs: [patch]
# Asked for where owners may only be named by those who may finalize them (OpenShift).
- apiGroups: [pgpack.io]
  resources: [pgpackdumps/finalizers, pgpackrestores/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Read, too: only the Events of a waiting pod say that a Secret is missing, so the operator reads no Secret at all.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
{{- end }}
