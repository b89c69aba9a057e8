/** What a run has done so far. Counts are decimal strings: they can pass 2^53. */
export interface Progress {
  readonly objects: number
  readonly objectsDone: number
  readonly rows: string
  /** Bytes of the COPY streams, uncompressed. */
  readonly bytes: string
  readonly storedBytes: string
  /** 0 to 100, by the planned bytes or rows; absent when the size is not known. */
  readonly percent?: number
}

const MARK = 'pgpack.progress'

/** One line on the job pod's stdout. Whatever else is printed there is not taken for progress. */
export function encodeProgress(progress: Progress): string {
  return JSON.stringify({ [MARK]: 1, ...progress })
}

/** The progress of a log line; undefined for any other line. */
export function decodeProgress(line: string): Progress | undefined {
  if (!line.includes(MARK)) return undefined
  try {
    const { [MARK]: version, ...progress } = JSON.parse(line) as Progress & { [MARK]?: number }
    return version === 1 ? progress : undefined
  } catch {
    return undefined
  }
}
