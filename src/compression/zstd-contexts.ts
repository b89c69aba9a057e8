import { constants, createZstdCompress, createZstdDecompress, type ZstdCompress, type ZstdDecompress } from 'node:zlib'

/** A frame is at most a chunk of about 1 MiB; a larger window would cost its memory and find nothing. */
const WINDOW_LOG = 20
const COMPRESSED_PIECE_BYTES = 256 * 1024
const DECOMPRESSED_PIECE_BYTES = 1024 * 1024
/** Idle contexts that are kept, of each direction: what one file has in flight. */
const MAX_IDLE = 4

/** An encoder or decoder that takes one frame after another, each on the thread pool. */
interface Context {
  readonly stream: ZstdCompress | ZstdDecompress
  /** Of an encoder; a decoder has none. */
  readonly level: number | undefined
}

/**
 * Contexts that are used again. Making one for each frame, as one-shot functions do, costs the kernel the page faults of
 * some megabytes: measured on rows of COPY, a tenth of the CPU time of compressing and a third of decompressing.
 */
class Contexts {
  readonly #idle: Context[] = []
  readonly #create: (level: number | undefined) => Context

  constructor(create: (level: number | undefined) => Context) {
    this.#create = create
  }

  /** Output of one frame's work, in pieces. A context that failed is not used again. */
  async run(level: number | undefined, start: (context: Context, done: () => void) => void): Promise<Buffer[]> {
    const context = this.#take(level)
    const { stream } = context
    const pieces: Buffer[] = []
    const onData = (piece: Buffer) => pieces.push(piece)
    await new Promise<void>((resolve, reject) => {
      stream.on('data', onData).once('error', reject)
      start(context, () => {
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
    return this.#create(level)
  }
}

const encoders = new Contexts((level) => ({ level, stream: createZstdCompress(encoderOptions(level)) }))
const decoders = new Contexts((level) => ({ level, stream: createZstdDecompress(DECODER_OPTIONS) }))

const DECODER_OPTIONS = { chunkSize: DECOMPRESSED_PIECE_BYTES }

function encoderOptions(level = 0) {
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_LOG }
  return { chunkSize: COMPRESSED_PIECE_BYTES, params }
}

/** One frame. `data` must not be changed before the promise resolves. */
export async function compressFrame(data: Uint8Array, level: number): Promise<Buffer> {
  const pieces = await encoders.run(level, ({ stream }, done) => {
    stream.write(data)
    stream.flush(constants.ZSTD_e_end, done)
  })
  const [first] = pieces
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces)
}

/**
 * The content of one whole frame, in pieces. Its end is not checked: of a frame that is cut off what there is comes out.
 * @throws zlib's error for what is no frame
 */
export function decompressFrame(frame: Uint8Array): Promise<Buffer[]> {
  return decoders.run(undefined, ({ stream }, done) => stream.write(frame, () => done()))
}
