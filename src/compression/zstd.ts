import { pipeline, type Readable } from 'node:stream'
import { constants, createZstdDecompress } from 'node:zlib'
import { PgpackError } from '../errors.ts'
import { giveBack } from '../memory.ts'
import type { ByteReader } from './byte-reader.ts'
import { frameUnreadable } from './faults.ts'
import type { DecompressSettings } from './limits.ts'
import { OrderedQueue } from './ordered-queue.ts'
import { decompressFrame } from './zstd-contexts.ts'
import { ZstdFrameWalker } from './zstd-frame.ts'

/** Streamed frames go to the decoder in pieces of at least this many bytes, whatever the size of their blocks. */
const PIECE_BYTES = 64 * 1024
const OUTPUT_BYTES = 256 * 1024

/**
 * The content of a sequence of zstd frames. Small frames are decompressed whole, `inFlight` at a time; one that is
 * above the limits is streamed, so that a giant frame (the Python writer's only one) needs a window and no more.
 */
export async function* decompressZstd(reader: ByteReader, settings: DecompressSettings): AsyncGenerator<Buffer> {
  const frames = new OrderedQueue<Buffer[]>()
  try {
    while (!(await reader.atEnd())) {
      reader.capture()
      const frame = await ZstdFrameWalker.open(reader, settings.zstdWindowLog)
      if (frame === undefined) continue
      if (await endsWithin(frame, reader, settings)) {
        frames.add(decompressWhole(reader.flush(), frame))
        yield* flat(frames.takeDownTo(settings.inFlight - 1))
      } else {
        yield* flat(frames.takeDownTo(0))
        yield* decompressStreaming(frame, reader, settings)
      }
      settings.onFrame({ offset: frame.offset, storedBytes: reader.position - frame.offset })
    }
    yield* flat(frames.takeDownTo(0))
  } finally {
    await frames.idle()
  }
}

/** Walks to the frame's end as long as it stays within the limits for whole frames. */
async function endsWithin(frame: ZstdFrameWalker, reader: ByteReader, limits: DecompressSettings): Promise<boolean> {
  const fits = () => frame.rawBound <= limits.wholeFrameRawBytes && reader.capturedLength <= limits.wholeFrameBytes
  if (frame.window > limits.wholeFrameRawBytes) return false
  while (!frame.ended && fits()) await frame.next()
  return fits()
}

async function* flat(frames: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer> {
  for await (const pieces of frames) yield* pieces
}

async function decompressWhole(bytes: Buffer, frame: ZstdFrameWalker): Promise<Buffer[]> {
  try {
    const pieces = await decompressFrame(bytes)
    giveBack(bytes)
    return pieces
  } catch (error) {
    throw frameUnreadable('zstd', frame.offset, error)
  }
}

async function* decompressStreaming(
  frame: ZstdFrameWalker,
  reader: ByteReader,
  settings: DecompressSettings,
): AsyncGenerator<Buffer> {
  const decoder: Readable = createDecoder(pieces(frame, reader), settings.zstdWindowLog)
  try {
    for await (const output of decoder) yield output
  } catch (error) {
    throw error instanceof PgpackError ? error : frameUnreadable('zstd', frame.offset, error)
  }
}

function createDecoder(source: AsyncIterable<Buffer>, windowLog: number): Readable {
  const decoder = createZstdDecompress({
    chunkSize: OUTPUT_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: windowLog },
  })
  // Whoever iterates over the decoder gets the error of either side; pipeline() asks for a callback all the same.
  return pipeline(source, decoder, () => undefined)
}

async function* pieces(frame: ZstdFrameWalker, reader: ByteReader): AsyncGenerator<Buffer> {
  while (!frame.ended) {
    if (reader.capturedLength >= PIECE_BYTES) yield reader.flush()
    await frame.next()
  }
  yield reader.flush()
}
