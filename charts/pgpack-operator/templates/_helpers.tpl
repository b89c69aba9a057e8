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

{{/* Of every container: the restricted Pod Security Standard, and nothing to write on but /tmp. */}}
{{- define "pgpack-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "pgpack-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/*
What the operator may do where its runs are: a Role for each watched namespace, or a ClusterRole. docs/reference/rbac.md is
generated from these rules, and the comment above each is its reason.
*/}}
{{- define "pgpack-operator.rules" -}}
# The runs themselves: listed and watched into the caches; a run is read again before its Job is made or it fails.
- apiGroups: [pgpack.io]
  resources: [pgpackdumps, pgpackrestores, pgpacktransfers]
  verbs: [get, list, watch]
# The finalizer that keeps a dump with deletionPolicy Delete until its artefact is removed.
- apiGroups: [pgpack.io]
  resources: [pgpackdumps]
  verbs: [patch]
# Conditions and progress; the spec is the user's alone.
- apiGroups: [pgpack.io]
  resources: [pgpackdumps/status, pgpackrestores/status, pgpacktransfers/status]
  verbs: [patch]
# Asked for where owners may only be named by those who may finalize them (OpenShift, OwnerReferencesPermissionEnforcement).
- apiGroups: [pgpack.io]
  resources: [pgpackdumps/finalizers, pgpackrestores/finalizers, pgpacktransfers/finalizers]
  verbs: [update]
# Each run has a Job: made, suspended, given its time to live when its result is recorded, and ended when its run has failed.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# The run's configuration, which holds no secret; one that is there already is read by its name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
# An attempt's state and result; listed again before a run fails for what its pods do not tell.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Progress: the engine prints it.
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# Written for kubectl describe, and counted up; read, because only the Events of a waiting pod say that a Secret is missing, so the operator reads no Secret at all.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
{{- end }}

{{/* What it may do in its own namespace, for leader election. */}}
{{- define "pgpack-operator.leaderElectionRules" -}}
# A create cannot be restricted by name: the name is not known when it is authorized.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
# The one Lease of the release: renewed by the leader, handed over at its end.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "pgpack-operator.fullname" . }}]
  verbs: [get, update]
{{- end }}
