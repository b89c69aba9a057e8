import type { Reason } from '../../src/operator/status/reasons.ts'

/** What a fault is aimed at. */
export type Target =
  /** A run whose pod is there. */
  | 'Attempt'
  /** A run that has not ended. */
  | 'Run'
  /** What all runs share. */
  | 'Everything'

/** One kind of fault, as data: how often it comes beside the others, what it hits, and for how long. */
export interface FaultInfo {
  readonly weight: number
  readonly target: Target
  readonly what: string
  /** Shortest and longest time that it lasts, in seconds; a fault without it is over at once. */
  readonly seconds?: readonly [number, number]
  /** Done to a process of the node: not possible in a cluster whose machines are out of reach. */
  readonly onNode?: true
  /** What a run that it hit may end with, once its attempts are used up; no reason where it may not fail at all. */
  readonly reasons: readonly Reason[]
}

/** Of a pod that is gone, and its result with it. Rows that Truncate put there may be others by then. */
const POD_GONE = ['BackoffLimitExceeded', 'ResultUnknown'] as const

export const FAULTS = {
  DeletePod: {
    weight: 3,
    target: 'Attempt',
    what: "the attempt's pod is deleted, without grace",
    reasons: POD_GONE,
  },
  KillEngine: {
    weight: 3,
    target: 'Attempt',
    what: "SIGKILL to the engine's process",
    onNode: true,
    reasons: ['EngineCrashed'],
  },
  TerminateBackend: {
    weight: 3,
    target: 'Everything',
    what: 'pg_terminate_backend of a connection of an engine',
    reasons: ['DatabaseConnectionLost', 'DatabaseUnavailable'],
  },
  KillOperator: {
    weight: 3,
    target: 'Everything',
    what: "the leader's pod is deleted, without grace",
    reasons: [],
  },
  KillBoth: {
    weight: 2,
    target: 'Attempt',
    what: "the attempt's pod and the leader's are deleted, without grace",
    reasons: POD_GONE,
  },
  DeleteJob: {
    weight: 2,
    target: 'Run',
    what: "the run's Job is deleted",
    reasons: ['JobDeleted', ...POD_GONE],
  },
  Recreate: {
    weight: 2,
    target: 'Run',
    what: 'the resource is deleted, and made again under its name',
    reasons: [],
  },
  CrashPostgres: {
    weight: 2,
    target: 'Everything',
    what: 'PostgreSQL crashes and restarts',
    onNode: true,
    reasons: ['DatabaseConnectionLost', 'DatabaseUnavailable', 'DatabaseUnreachable'],
  },
  StopStore: {
    weight: 2,
    target: 'Everything',
    what: 'MinIO stands still',
    seconds: [1, 12],
    onNode: true,
    reasons: ['StoreUnavailable', 'StoreUnreachable'],
  },
  StopApiServer: {
    weight: 2,
    target: 'Everything',
    what: 'the API server stands still',
    seconds: [1, 14],
    onNode: true,
    reasons: [],
  },
  FillQuota: {
    weight: 1,
    target: 'Everything',
    what: 'a quota lets no pod start',
    seconds: [3, 10],
    reasons: [],
  },
} as const satisfies Record<string, FaultInfo>

export type FaultName = keyof typeof FAULTS

export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[]

export function infoOf(name: FaultName): FaultInfo {
  return FAULTS[name]
}
