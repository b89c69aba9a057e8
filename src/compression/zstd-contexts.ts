import { constants, createZstdCompress, createZstdDecompress, type ZstdCompress, type ZstdDecompress } from 'node:zlib'
import { joinPieces, PieceCounter } from '../memory.ts'

/** A frame is at most a chunk of about 1 MiB; a larger window would cost its memory and find nothing. */
const WINDOW_LOG = 20
const PIECE_BYTES = 1024 * 1024
/** Idle contexts that are kept, of each direction: what one file has in flight. */
const MAX_IDLE = 4

/** An encoder or decoder that takes one frame after another, each on the thread pool. */
interface Context {
  readonly stream: ZstdCompress | ZstdDecompress
  readonly counter: PieceCounter
  /** Of an encoder; a decoder has none. */
  readonly level: number | undefined
}

/**
 * Contexts that are used again. Making one for each frame, as one-shot functions do, costs the kernel the page faults of
 * some megabytes: measured on rows of COPY, a tenth of the CPU time of compressing and a third of decompressing.
 */
class Contexts {
  readonly #idle: Context[] = []
  readonly #create: (level: number | undefined) => ZstdCompress | ZstdDecompress

  constructor(create: (level: number | undefined) => ZstdCompress | ZstdDecompress) {
    this.#create = create
  }

  /** Output of one frame's work, in pieces. A context that failed is not used again. */
  async run(input: Uint8Array, level?: number): Promise<Buffer[]> {
    const context = this.#take(level)
    const { stream, counter } = context
    const pieces: Buffer[] = []
    const onData = (piece: Buffer) => {
      counter.count(piece)
      pieces.push(piece)
    }
    await new Promise<void>((resolve, reject) => {
      stream.on('data', onData).once('error', reject)
      stream.write(input, () => {
        stream.off('data', onData).off('error', reject)
        resolve()
      })
    })
    if (this.#idle.length < MAX_IDLE) this.#idle.push(context)
    else stream.destroy()
    return pieces
  }

  #take(level: number | undefined): Context {
    const idle = this.#idle.pop()
    if (idle?.level === level && idle !== undefined) return idle
    idle?.stream.destroy()
    return { level, stream: this.#create(level), counter: new PieceCounter() }
  }
}

const encoders = new Contexts((level) => createZstdCompress(encoderOptions(level)))
const decoders = new Contexts(() => createZstdDecompress({ chunkSize: PIECE_BYTES }))

function encoderOptions(level = 0) {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_LOG }
  // Each write is a frame: the encoder learns its size before the first byte, and the decoder from it.
  return { chunkSize: PIECE_BYTES, flush: constants.ZSTD_e_end, params }
}

/** One frame. `data` must not be changed before the promise resolves. */
export async function compressFrame(data: Uint8Array, level: number): Promise<Buffer> {
  return joinPieces(await encoders.run(data, level))
}

/**
 * The content of one whole frame, in pieces. Its end is not checked: of a frame that is cut off what there is comes out.
 * @throws zlib's error for what is no frame
 */
export function decompressFrame(frame: Uint8Array): Promise<Buffer[]> {
  return decoders.run(frame)
}
