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
}

export const FAULTS = {
  DeletePod: { weight: 3, target: 'Attempt', what: "the attempt's pod is deleted, without grace" },
  KillEngine: { weight: 3, target: 'Attempt', what: "SIGKILL to the engine's process", onNode: true },
  TerminateBackend: { weight: 3, target: 'Everything', what: 'pg_terminate_backend of a connection of an engine' },
  KillOperator: { weight: 3, target: 'Everything', what: "the leader's pod is deleted, without grace" },
  KillBoth: { weight: 2, target: 'Attempt', what: "the attempt's pod and the leader's are deleted, without grace" },
  DeleteJob: { weight: 2, target: 'Run', what: "the run's Job is deleted" },
  Recreate: { weight: 2, target: 'Run', what: 'the resource is deleted, and made again under its name' },
  CrashPostgres: { weight: 2, target: 'Everything', what: 'PostgreSQL crashes and restarts', onNode: true },
  StopStore: { weight: 2, target: 'Everything', what: 'MinIO stands still', seconds: [1, 12], onNode: true },
  StopApiServer: {
    weight: 2,
    target: 'Everything',
    what: 'the API server stands still',
    seconds: [1, 14],
    onNode: true,
  },
  FillQuota: { weight: 1, target: 'Everything', what: 'a quota lets no pod start', seconds: [3, 10] },
} as const satisfies Record<string, FaultInfo>

export type FaultName = keyof typeof FAULTS

export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[]

export function infoOf(name: FaultName): FaultInfo {
  return FAULTS[name]
}
