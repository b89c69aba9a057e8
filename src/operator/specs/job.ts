import { ATTEMPT_VARIABLE, MOUNTS } from '../../run/paths.ts'
import { EXIT } from '../../run/result.ts'
import type { Job, Pod } from '../manager/resources.ts'
import { childMetadata } from './metadata.ts'
import type { Mount } from './mounts.ts'
import { childName, jobName } from './names.ts'
import type { Run } from './run.ts'

type PodSpec = NonNullable<Pod['spec']>
type Container = PodSpec['containers'][number]

/** What the operator's own configuration says of every Job. */
export interface JobSettings {
  /** The engine's image: that of the operator itself. */
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
}

/** Which Job of the run: one after the first has fewer attempts left. */
export interface JobTurn {
  /** Counted from 1. */
  readonly incarnation: number
  /** Attempts of earlier Jobs of the run. */
  readonly attemptsBefore: number
}

export const ENGINE_CONTAINER = 'engine'
export const DEFAULT_BACKOFF_LIMIT = 3
/** Attempts of Jobs that were deleted before this one: they count against the limit as well. */
export const ATTEMPTS_BEFORE_ANNOTATION = 'pgpack.io/attempts-before'

/** 128 + SIGTERM: ended because it was asked to, by a suspension, a drain or a delete. */
const EXIT_TERMINATED = 143
const ENGINE_USER = 65532
/** For the engine to cancel the backend's query and to abort its uploads. */
const GRACE_SECONDS = 30
const DEFAULT_RESOURCES = { requests: { cpu: '250m', memory: '192Mi' }, limits: { memory: '512Mi' } }

/**
 * The Job of a run. It has no ttlSecondsAfterFinished: the operator adds that once the result is recorded, or a result
 * could vanish unread while the operator is away. Defaults of the schema are repeated where the field's parent can be
 * absent.
 */
export function buildJob(run: Run, mounts: readonly Mount[], settings: JobSettings, turn: JobTurn): Job {
  const { job = {} } = run.spec
  const metadata = childMetadata(run, jobName(run, turn.incarnation))
  const { labels = {}, annotations = {} } = metadata
  const limit = job.backoffLimit ?? DEFAULT_BACKOFF_LIMIT
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...metadata,
      annotations: { ...annotations, [ATTEMPTS_BEFORE_ANNOTATION]: String(turn.attemptsBefore) },
    },
    spec: {
      completions: 1,
      parallelism: 1,
      backoffLimit: Math.max(0, limit - turn.attemptsBefore),
      ...(job.activeDeadlineSeconds === undefined ? {} : { activeDeadlineSeconds: job.activeDeadlineSeconds }),
      // A pod that still ends must not overlap with its successor: both would write, or load, the same thing.
      podReplacementPolicy: 'Failed',
      podFailurePolicy: buildPodFailurePolicy(),
      template: { metadata: { labels, annotations }, spec: buildPodSpec(run, mounts, settings) },
    },
  }
}

/**
 * Rules in order, the first match decides: what a retry cannot help fails the Job at once; what the cluster did to the
 * pod, or somebody asked for, does not use up an attempt. Everything else counts against backoffLimit.
 */
function buildPodFailurePolicy() {
  const onExitCode = (value: number) => ({ containerName: ENGINE_CONTAINER, operator: 'In', values: [value] })
  return {
    rules: [
      { action: 'FailJob', onExitCodes: onExitCode(EXIT.permanent) },
      { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
      { action: 'Ignore', onExitCodes: onExitCode(EXIT_TERMINATED) },
    ],
  }
}

function buildPodSpec(run: Run, mounts: readonly Mount[], settings: JobSettings): PodSpec {
  const { job = {} } = run.spec
  const all = [...mounts, configMount(run), TMP_MOUNT]
  return {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: GRACE_SECONDS,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: ENGINE_USER,
      runAsGroup: ENGINE_USER,
      fsGroup: ENGINE_USER,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(job.serviceAccountName === undefined ? {} : { serviceAccountName: job.serviceAccountName }),
    ...(job.priorityClassName === undefined ? {} : { priorityClassName: job.priorityClassName }),
    ...(job.nodeSelector === undefined ? {} : { nodeSelector: job.nodeSelector }),
    ...(job.tolerations === undefined ? {} : { tolerations: job.tolerations }),
    ...(job.affinity === undefined ? {} : { affinity: job.affinity }),
    ...(job.imagePullSecrets === undefined ? {} : { imagePullSecrets: job.imagePullSecrets }),
    containers: [buildContainer(run, all, settings)],
    volumes: all.map(({ volume }) => volume),
  }
}

function buildContainer(run: Run, mounts: readonly Mount[], settings: JobSettings): Container {
  return {
    name: ENGINE_CONTAINER,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    args: ['run'],
    env: [{ name: ATTEMPT_VARIABLE, valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
    resources: run.spec.job?.resources ?? DEFAULT_RESOURCES,
    terminationMessagePath: MOUNTS.terminationMessage,
    // An engine that died without a result leaves the last lines of its log instead.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: mounts.map(({ mount }) => mount),
  }
}

function configMount(run: Run): Mount {
  return {
    volume: { name: 'config', configMap: { name: childName(run) } },
    mount: { name: 'config', mountPath: MOUNTS.config, readOnly: true },
  }
}

const TMP_MOUNT: Mount = { volume: { name: 'tmp', emptyDir: {} }, mount: { name: 'tmp', mountPath: '/tmp' } }
