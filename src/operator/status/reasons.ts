import type { Phase } from '../../api/v1alpha1/status.ts'
import type { ErrorReason } from '../../errors.ts'

/** What the documentation says of a reason: docs/reference/conditions.md is made of this list. */
export interface ReasonInfo {
  /** Statuses of the condition Succeeded that the reason goes with. */
  readonly succeeded: readonly ('Unknown' | 'True' | 'False')[]
  readonly meaning: string
  /** What a person should do; what the operator goes on doing where nobody has to do anything. */
  readonly action: string
}

const waiting = ['Unknown'] as const
const final = ['False'] as const
/** The cause of a failed attempt: shown while it is retried, and for good when no attempt is left. */
const attempt = ['Unknown', 'False'] as const

/** Reasons that the operator itself finds; they are reasons of the conditions and of Events. */
export const OPERATOR_REASONS = {
  Pending: {
    succeeded: waiting,
    meaning: 'The Job exists and its pod has not started yet.',
    action: 'Wait; what a pod waits for replaces this reason as soon as it is known.',
  },
  Running: {
    succeeded: waiting,
    meaning: 'The pod of an attempt moves data.',
    action: 'Wait; `status.progress` tells how far it is.',
  },
  Retrying: {
    succeeded: waiting,
    meaning: 'An attempt failed for a reason that can pass; the Job starts another one after a pause.',
    action: 'Read the message: it names the attempt and its cause. Nothing has to be done if the cause passes.',
  },
  Suspended: {
    succeeded: waiting,
    meaning: '`spec.suspend` is true: no pod runs.',
    action: 'Set `spec.suspend` to false to go on with a new attempt.',
  },
  DumpNotFound: {
    succeeded: waiting,
    meaning: 'The PGPackDump that `spec.source.dumpRef` names does not exist in the namespace.',
    action: 'Create it, or delete the restore and create one that names another dump.',
  },
  DumpNotSucceeded: {
    succeeded: waiting,
    meaning: 'The PGPackDump that `spec.source.dumpRef` names has not finished yet.',
    action: 'Wait; the restore starts by itself when the dump has succeeded.',
  },
  SecretNotFound: {
    succeeded: waiting,
    meaning: 'The pod cannot start because a Secret, or a key in it, does not exist.',
    action: 'Create the Secret named in the message; the pod then starts by itself.',
  },
  VolumeMountFailed: {
    succeeded: waiting,
    meaning: 'The node cannot mount one of the volumes of the pod.',
    action: 'Read the message of the kubelet; it retries by itself.',
  },
  ImagePullFailed: {
    succeeded: waiting,
    meaning: 'The node cannot pull the image of the engine.',
    action: "Check `jobImage` of the chart's values, the registry, and `spec.job.imagePullSecrets`.",
  },
  Unschedulable: {
    succeeded: waiting,
    meaning: 'No node fits the pod: resources, selectors, taints, or its volume.',
    action: 'Read the message of the scheduler; change the nodes, or start a new run with another `spec.job`.',
  },
  ContainerCreateFailed: {
    succeeded: waiting,
    meaning: 'The container runtime cannot create the container of the engine.',
    action: 'Read the message of the kubelet.',
  },
  PodNotCreated: {
    succeeded: waiting,
    meaning: 'The Job cannot create its pod: a Pod Security level or an admission webhook refuses it.',
    action: 'Read the message of the API server; the Job tries again by itself.',
  },
  QuotaExceeded: {
    succeeded: waiting,
    meaning: 'A ResourceQuota of the namespace has no room for the Job or its pod.',
    action: 'Raise the quota that the message names, or wait until others end; it is tried again by itself.',
  },
  NamespaceTerminating: {
    succeeded: waiting,
    meaning: 'The namespace is being deleted and takes no Job any more.',
    action: 'Nothing; the resource goes with its namespace.',
  },
  JobNotCreated: {
    succeeded: waiting,
    meaning: 'The API server refuses the Job for now: an admission webhook, or a foreign Job of its name.',
    action: 'Read the message of the API server; the operator tries again by itself.',
  },
  Succeeded: {
    succeeded: ['True'],
    meaning: 'Everything was moved, and its end was confirmed by the database and the store.',
    action: 'Nothing.',
  },
  InvalidSpec: {
    succeeded: final,
    meaning: 'The API server refuses what the spec asks for, as a field of `spec.job` that no pod has.',
    action: 'Read the message; delete the resource and create it with a corrected spec.',
  },
  DumpFailed: {
    succeeded: final,
    meaning: 'The PGPackDump that `spec.source.dumpRef` names has failed, or was a DryRun: it has no artefact.',
    action: 'Mend the dump, then create a new restore.',
  },
  PendingDeadlineExceeded: {
    succeeded: final,
    meaning: 'No pod could start within `spec.job.pendingDeadlineSeconds`; the message says what it waited for.',
    action: 'Remove what the pod waited for, then create a new resource.',
  },
  DeadlineExceeded: {
    succeeded: final,
    meaning: 'The run took longer than `spec.job.activeDeadlineSeconds`.',
    action: 'Create a new resource with a later deadline, more connections, or fewer objects.',
  },
  BackoffLimitExceeded: {
    succeeded: final,
    meaning: 'All attempts failed and the last one left no cause that could be read.',
    action: 'Look at the Events and logs of the pods; the cluster removed them early.',
  },
  OOMKilled: {
    succeeded: attempt,
    meaning: 'The kernel ended the engine because it reached its memory limit.',
    action: 'Create a new resource with a larger `spec.job.resources.limits.memory` or fewer connections.',
  },
  NodeLost: {
    succeeded: attempt,
    meaning: 'The node of the pod is gone, or has not been heard of for too long.',
    action:
      'Nothing once the pod has ended: a disruption does not count against `spec.job.backoffLimit`. Until then follow the message: the next attempt must not overlap with a pod that may still run.',
  },
  Evicted: {
    succeeded: attempt,
    meaning: 'The pod was taken off its node: pressure on the node, a drain, a preemption, or a delete by hand.',
    action: 'Nothing; a disruption does not count against `spec.job.backoffLimit`.',
  },
  EngineCrashed: {
    succeeded: attempt,
    meaning: 'The engine ended without a result.',
    action: 'Read the exit code and the last lines in the message; report it.',
  },
  JobDeleted: {
    succeeded: final,
    meaning: 'The Job was deleted, more often than `spec.job.backoffLimit` allows, before the run had ended.',
    action: 'Create a new resource.',
  },
  ResultUnknown: {
    succeeded: final,
    meaning:
      'The Job is complete, but its pod vanished before the result was read, and another attempt would replace what came into the tables since (Truncate, Replace), or none is left.',
    action: 'Compare the target with the source (or look into the store), then create a new resource.',
  },
} as const satisfies Record<string, ReasonInfo>

/** Reasons that the engine reports: `reason` of the codes in src/errors.ts. */
export const ENGINE_REASONS = {
  ArtifactCorrupt: {
    succeeded: attempt,
    meaning: 'A file or the manifest is not what was written: bytes changed, were cut, or are of another format.',
    action: 'Take another dump; check the store for bit rot and for whoever writes below the same prefix.',
  },
  ArtifactTooLarge: {
    succeeded: attempt,
    meaning: 'Something is beyond a limit of the PGPack format.',
    action: 'Split the object, for example by `where`.',
  },
  ArtifactIncomplete: {
    succeeded: attempt,
    meaning: 'There is no manifest at the path: the dump never finished, or the path is not that of an attempt.',
    action: 'Correct `spec.source.path`, or restore another dump.',
  },
  DatabaseUnreachable: {
    succeeded: attempt,
    meaning: 'No connection to the database: name, network, port, or time out.',
    action: 'Check host and port of the Secret, network policies, and that the server is up.',
  },
  DatabaseConnectionLost: {
    succeeded: attempt,
    meaning: 'The connection to the database was cut while it was in use.',
    action: 'Nothing if it passes; else look at the log of the server, and at idle time outs on the way.',
  },
  DatabaseUnavailable: {
    succeeded: attempt,
    meaning: 'The server is starting, shutting down, in recovery, or has no connection left.',
    action: 'Nothing if it passes; else raise `max_connections` or lower `spec.parallelism.connections`.',
  },
  AuthenticationFailed: {
    succeeded: attempt,
    meaning: 'The server refuses user and password (or certificate).',
    action: 'Correct the Secret, then create a new resource.',
  },
  TLSFailed: {
    succeeded: attempt,
    meaning: 'No TLS session could be agreed on, or the certificate is not trusted.',
    action: 'Check `tls.mode`, the authority in `tls.caSecretRef`, and the name in the certificate.',
  },
  DatabaseNotFound: {
    succeeded: attempt,
    meaning: 'The server has no database of that name.',
    action: 'Correct the Secret or `database`.',
  },
  RelationNotFound: {
    succeeded: attempt,
    meaning: 'A table or schema does not exist.',
    action: 'Correct its name (spelled as in the catalog, case counts), or create it.',
  },
  ColumnMismatch: {
    succeeded: attempt,
    meaning: 'A column is missing, or its type does not take what the artefact holds.',
    action: 'Change the table or the mapping; nothing was written.',
  },
  PermissionDenied: {
    succeeded: attempt,
    meaning: 'The user lacks a privilege.',
    action: 'GRANT what the message names.',
  },
  DataRejected: {
    succeeded: attempt,
    meaning: 'The server refuses a row: a constraint, a type, or an encoding.',
    action: 'Read the message of the server; nothing of the table was committed.',
  },
  StatementFailed: {
    succeeded: attempt,
    meaning: 'A statement failed in the database.',
    action: 'Read the message of the server.',
  },
  RowTooLarge: {
    succeeded: attempt,
    meaning: 'One row is larger than the engine can hold in its memory limit.',
    action: 'Leave the column out, or dump it with a query that cuts it.',
  },
  InvalidConfiguration: {
    succeeded: attempt,
    meaning: 'A Secret lacks a key, or a value in it or in the spec cannot be used.',
    action: 'Correct what the message names, then create a new resource.',
  },
  ObjectUnsupported: {
    succeeded: attempt,
    meaning: 'An object cannot be moved by COPY as it is asked for.',
    action: 'Read the message; a query often can do what a table cannot.',
  },
  StoreUnreachable: {
    succeeded: attempt,
    meaning: 'No connection to the object store.',
    action: 'Check the endpoint, its certificate, and network policies.',
  },
  StoreUnavailable: {
    succeeded: attempt,
    meaning: 'The object store asks to slow down, or answers with a server error.',
    action: 'Nothing if it passes.',
  },
  BucketNotFound: {
    succeeded: attempt,
    meaning: 'The bucket (or the folder) does not exist.',
    action: 'Create it, or correct its name.',
  },
  ObjectNotFound: {
    succeeded: attempt,
    meaning: 'An object that the manifest names is not in the store.',
    action: 'Restore another dump; look for a lifecycle rule that removes objects.',
  },
  StoreAccessDenied: {
    succeeded: attempt,
    meaning: 'The store refuses the credentials, or what they are used for.',
    action: 'Correct the Secret, or allow reading, writing and listing below the prefix.',
  },
  StoreFull: {
    succeeded: attempt,
    meaning: 'The store has no space, or a quota is used up.',
    action: 'Make room; nothing of the attempt stays behind.',
  },
  StoreFailed: {
    succeeded: attempt,
    meaning: 'The store refuses a request for another reason.',
    action: 'Read the message of the store.',
  },
  Cancelled: {
    succeeded: attempt,
    meaning: 'The engine was asked to end (SIGTERM) and did.',
    action: 'Nothing; this does not count against `spec.job.backoffLimit`.',
  },
  InternalError: {
    succeeded: attempt,
    meaning: 'An error that the engine does not know.',
    action: 'Report it with the message and the log of the attempt.',
  },
} as const satisfies Record<ErrorReason, ReasonInfo>

/** Reasons of the condition ArtifactRemoved, beside those of what its Job waits for or failed with. */
export const REMOVAL_REASONS = {
  Removing: {
    status: 'Unknown',
    meaning: 'The artefact is being removed before the resource may go.',
    action: 'Wait; it takes at most ten minutes from the deletion on.',
  },
  Removed: { status: 'True', meaning: 'Nothing of the dump is left in the store.', action: 'Nothing.' },
  RemovalFailed: {
    status: 'False',
    meaning: 'The artefact cannot be removed: its Job failed, or can never be made.',
    action: 'Remove what lies at the place that the message names; the resource is let go.',
  },
  RemovalDeadlineExceeded: {
    status: 'False',
    meaning: 'The artefact was not removed within ten minutes; the message says what stood in the way.',
    action: 'Remove what lies at the place that the message names; the resource is let go.',
  },
} as const satisfies Record<string, { status: 'Unknown' | 'True' | 'False'; meaning: string; action: string }>

/** Any reason of the condition ArtifactRemoved. */
export type RemovalReason = keyof typeof REMOVAL_REASONS | Reason

export const REASONS: Readonly<Record<Reason, ReasonInfo>> = { ...OPERATOR_REASONS, ...ENGINE_REASONS }

/** Any reason that a condition of a run can have. */
export type Reason = keyof typeof OPERATOR_REASONS | ErrorReason

/** The condition types of a run and what each of their statuses says: the first half of docs/reference/conditions.md. */
export const CONDITION_TYPES = {
  Succeeded: {
    Unknown: 'The run is active, or waits for something.',
    True: 'The run is done and its result is confirmed. Final.',
    False: 'The run has failed. Final.',
  },
  Reconciling: {
    True: 'The operator works on the run, or watches it (kstatus: InProgress).',
    False: 'The run is final.',
  },
  Stalled: {
    True: 'The run has failed and nothing will be tried again (kstatus: Failed).',
    False: 'Nothing is stuck.',
  },
  ArtifactRemoved: {
    Unknown: 'Only on a deleted dump with `deletionPolicy: Delete`: its artefact is being removed.',
    True: 'Nothing of the dump is left in the store.',
    False: 'Something may be left in the store; the resource is let go all the same.',
  },
} as const satisfies Record<string, Partial<Record<'Unknown' | 'True' | 'False', string>>>

/**
 * How a run's state is read: by people from its phase, by tools from its conditions, and by kstatus (which Flux, Argo CD
 * and kpt follow) from Reconciling, Stalled and the deletion: docs/reference/status.md is made of this list.
 */
export const READINGS = {
  Pending: {
    conditions: ['Unknown', 'True', 'False'],
    kstatus: 'InProgress',
    meaning: 'Something is waited for; the reason says what.',
  },
  Running: { conditions: ['Unknown', 'True', 'False'], kstatus: 'InProgress', meaning: 'An attempt moves data.' },
  Suspended: {
    conditions: ['Unknown', 'True', 'False'],
    kstatus: 'InProgress',
    meaning: '`spec.suspend` is true, and no pod runs.',
  },
  Succeeded: {
    conditions: ['True', 'False', 'False'],
    kstatus: 'Current',
    meaning: 'Done, and the result is confirmed. Final.',
  },
  Failed: {
    conditions: ['False', 'False', 'True'],
    kstatus: 'Failed',
    meaning: 'Nothing will be tried again. Final.',
  },
} as const satisfies Record<
  Phase,
  {
    /** Statuses of Succeeded, Reconciling and Stalled. */
    conditions: readonly ['Unknown' | 'True' | 'False', 'True' | 'False', 'True' | 'False']
    kstatus: 'InProgress' | 'Current' | 'Failed'
    meaning: string
  }
>

export type ConditionType = keyof typeof CONDITION_TYPES

/** Reasons of Events beside those of the conditions: Events tell the steps, conditions the state. */
export const EVENT_REASONS = {
  RunStarted: { type: 'Normal', meaning: 'The Job of the run was created.' },
  AttemptFailed: { type: 'Warning', meaning: 'A pod of the run failed; the message has the cause.' },
  Resumed: { type: 'Normal', meaning: 'A suspended run goes on.' },
  Suspended: { type: 'Normal', meaning: 'The run was suspended.' },
  Succeeded: { type: 'Normal', meaning: 'The run succeeded; the message has rows, bytes and seconds.' },
  Failed: { type: 'Warning', meaning: 'The run failed for good; the message starts with the reason.' },
  RemovingArtifact: { type: 'Normal', meaning: 'The dump was deleted, and its artefact goes first.' },
  ArtifactRemoved: { type: 'Normal', meaning: 'Nothing of a deleted dump is left in the store.' },
  ArtifactNotRemoved: {
    type: 'Warning',
    meaning: 'A deleted dump is let go; the message says where something is left.',
  },
} as const satisfies Record<string, { type: 'Normal' | 'Warning'; meaning: string }>

export type EventReason = keyof typeof EVENT_REASONS | Reason
