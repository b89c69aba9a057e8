import * as Type from 'typebox'
import { choice, count, integer, object, type Static, text, time } from '../schema.ts'

/** metav1.Condition (Kubernetes API conventions, "Typical status properties"). */
const Condition = object({
  type: text('Type in CamelCase.', 316, { pattern: '^[A-Z][A-Za-z]*$' }),
  status: choice(['True', 'False', 'Unknown'], 'Status of the condition.'),
  observedGeneration: Type.Optional(count('metadata.generation that the condition was set for.')),
  lastTransitionTime: time('When the status last changed.'),
  reason: text('Why, in CamelCase.', 1024, { pattern: '^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$' }),
  message: Type.String({ description: 'What a person should know.', maxLength: 32768 }),
})

export const PHASES = ['Pending', 'Running', 'Suspended', 'Succeeded', 'Failed'] as const

const Progress = object(
  {
    objects: Type.Optional(integer('Objects planned.', 0, 2 ** 31 - 1)),
    objectsDone: Type.Optional(integer('Objects finished.', 0, 2 ** 31 - 1)),
    rows: Type.Optional(count('Rows moved.')),
    bytes: Type.Optional(count('Bytes of the COPY streams, uncompressed.')),
    storedBytes: Type.Optional(count('Bytes in the store, compressed.')),
    bytesPerSecond: Type.Optional(count('Bytes of the COPY streams a second, lately.')),
    secondsLeft: Type.Optional(count('Time left at that rate, where the size is known.')),
    percent: Type.Optional(integer('Percent done, where the size is known.', 0, 100)),
    display: Type.Optional(text('Percent done, or the objects done where the size is not known, for kubectl get.', 32)),
    size: Type.Optional(text('Bytes in the store, or moved where there is none, for kubectl get.', 32)),
    rate: Type.Optional(text('Bytes a second, for kubectl get.', 32)),
    timeLeft: Type.Optional(text('Time left, for kubectl get.', 32)),
  },
  { description: 'What has been moved so far, updated every few seconds.' },
)

const Artifact = object(
  {
    path: Type.Optional(text('Key prefix of the attempt that succeeded; its manifest is <path>/manifest.json.', 2048)),
    manifestSHA256: Type.Optional(text("SHA-256 of the manifest's bytes, hexadecimal.", 64)),
    objects: Type.Optional(integer('Objects in the manifest.', 0, 2 ** 31 - 1)),
    rows: Type.Optional(count('Rows in all objects.')),
    bytes: Type.Optional(count('Bytes of the COPY streams, uncompressed.')),
    storedBytes: Type.Optional(count('Bytes in the store.')),
    rejectedRows: Type.Optional(count('Rows that COPY refused and was told to leave out.')),
    rejects: Type.Optional(
      text(
        'Key prefix, in the store of the artefact, of the files with the rows that Greenplum refused and logged.',
        2048,
      ),
    ),
  },
  { description: 'What was written, or read, by the run that succeeded.' },
)

const failure = {
  attempt: Type.Optional(text('Pod of the attempt.', 253)),
  reason: Type.Optional(text('Why it failed, in CamelCase.', 1024)),
  message: Type.Optional(text('What a person should know.', 4096)),
  time: Type.Optional(time('When the operator saw it.')),
}

const Failure = object(failure, { description: 'The last attempt that failed, also when a later one succeeded.' })

/** The status of a run: of a dump, a restore and a transfer alike. Every field is optional; conditions come first. */
export const RunStatus = object(
  {
    conditions: Type.Optional(
      Type.Array(Condition, {
        description:
          'Succeeded (Unknown while active), Reconciling, Stalled; ArtifactRemoved while a dump with deletionPolicy Delete is being deleted.',
        maxItems: 16,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
    ),
    observedGeneration: Type.Optional(count('metadata.generation that this status tells of.')),
    phase: Type.Optional(choice(PHASES, 'The conditions in one word, for people; no decision is taken by it.')),
    jobName: Type.Optional(text('The Job of the run.', 63)),
    attempts: Type.Optional(integer('Pods that were started for the run.', 0, 2 ** 31 - 1)),
    attempt: Type.Optional(text('Pod of the latest attempt, for kubectl logs.', 253)),
    lastFailure: Type.Optional(Failure),
    failures: Type.Optional(
      Type.Array(object(failure), {
        description: 'The last ten attempts that failed, oldest first, with their causes cut short.',
        maxItems: 10,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    startTime: Type.Optional(time('When the Job was created.')),
    completionTime: Type.Optional(time('When the run succeeded or failed.')),
    progress: Type.Optional(Progress),
    artifact: Type.Optional(Artifact),
    plan: Type.Optional(text('What a DryRun found: what would go where, and how much.', 16384)),
  },
  { description: 'What the operator observed last.' },
)

export type Condition = Static<typeof Condition>
export type RunStatus = Static<typeof RunStatus>
export type ProgressStatus = Static<typeof Progress>
export type ArtifactStatus = Static<typeof Artifact>
export type AttemptFailure = Static<typeof Failure>
export type Phase = (typeof PHASES)[number]
