import { ATTEMPT_VARIABLE, MOUNTS } from '../../run/paths.ts'
import { EXIT } from '../../run/result.ts'
import type { Job, Pod } from '../manager/resources.ts'
import { given } from './given.ts'
import { childMetadata } from './metadata.ts'
import type { Mount } from './mounts.ts'
import { childName, jobName, removalName } from './names.ts'
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

/**
 * How long the removal of an artefact may hold its resource, counted from the deletion: a store that is gone for good
 * must not keep a namespace for ever.
 */
export const REMOVAL_DEADLINE_SECONDS = 600
/** More than fit into that time: the Job controller's pauses double from 10 s on. */
const REMOVAL_BACKOFF_LIMIT = 20

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
  const { backoffLimit = DEFAULT_BACKOFF_LIMIT, activeDeadlineSeconds } = run.spec.job ?? {}
  const metadata = childMetadata(run, jobName(run, turn.incarnation))
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [ATTEMPTS_BEFORE_ANNOTATION]: String(turn.attemptsBefore) },
    },
    spec: {
      ...ONE_POD_AT_A_TIME,
      backoffLimit: Math.max(0, backoffLimit - turn.attemptsBefore),
      ...given({ activeDeadlineSeconds }),
      podFailurePolicy: { rules: [FAIL_WHEN_PERMANENT, ...IGNORE_WHAT_WAS_DONE_TO_IT] },
      template: buildTemplate(run, childName(run), mounts, settings),
    },
  }
}

/**
 * The Job that removes what a run left in the store. It tries until its time is over, whatever the cause: the Secret
 * that it lacks, or the right in the store, may be given to it meanwhile.
 */
export function buildRemovalJob(
  run: Run,
  mounts: readonly Mount[],
  settings: JobSettings,
  activeDeadlineSeconds: number,
): Job {
  const name = removalName(run)
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: childMetadata(run, name),
    spec: {
      ...ONE_POD_AT_A_TIME,
      backoffLimit: REMOVAL_BACKOFF_LIMIT,
      activeDeadlineSeconds,
      podFailurePolicy: { rules: [...IGNORE_WHAT_WAS_DONE_TO_IT] },
      template: buildTemplate(run, name, mounts, settings),
    },
  }
}

/** A pod that still ends must not overlap with its successor: both would write, or load, the same thing. */
const ONE_POD_AT_A_TIME = { completions: 1, parallelism: 1, podReplacementPolicy: 'Failed' } as const

/*
 * Rules of a podFailurePolicy, of which the first match decides: what a retry cannot help fails the Job at once; what the
 * cluster did to the pod, or somebody asked for, does not use up an attempt. Everything else counts against backoffLimit.
 */
const FAIL_WHEN_PERMANENT = { action: 'FailJob', onExitCodes: onExitCode(EXIT.permanent) }
const IGNORE_WHAT_WAS_DONE_TO_IT = [
  { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
  { action: 'Ignore', onExitCodes: onExitCode(EXIT.cancelled) },
]

function onExitCode(value: number) {
  return { containerName: ENGINE_CONTAINER, operator: 'In', values: [value] }
}

function buildTemplate(run: Run, configName: string, mounts: readonly Mount[], settings: JobSettings) {
  const { labels = {}, annotations = {} } = childMetadata(run, configName)
  return { metadata: { labels, annotations }, spec: buildPodSpec(run, configName, mounts, settings) }
}

function buildPodSpec(run: Run, configName: string, mounts: readonly Mount[], settings: JobSettings): PodSpec {
  const { job = {} } = run.spec
  const { serviceAccountName, priorityClassName, nodeSelector, tolerations, affinity, imagePullSecrets } = job
  const all = [...mounts, configMount(configName), TMP_MOUNT]
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
    ...given({ serviceAccountName, priorityClassName, nodeSelector, tolerations, affinity, imagePullSecrets }),
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

function configMount(name: string): Mount {
  return {
    volume: { name: 'config', configMap: { name } },
    mount: { name: 'config', mountPath: MOUNTS.config, readOnly: true },
  }
}

const TMP_MOUNT: Mount = { volume: { name: 'tmp', emptyDir: {} }, mount: { name: 'tmp', mountPath: '/tmp' } }
