import { type StripCursor, stripCopyData } from './strip.ts'
import { STRIP_WASM } from './strip-wasm.ts'

/** Memory that the server's bytes are received into, and in which the headers of CopyData are stripped. */
export interface ReceiveBuffer {
  readonly bytes: Buffer
  readonly view: DataView
  /** As `stripCopyData` on these bytes. */
  strip(cursor: StripCursor, end: number): void
  /** The memory may be written to again, so nobody may look at it any more. A second call does nothing. */
  release(): void
}

/** What of WebAssembly's JavaScript interface is used; TypeScript has it among the browser's types only. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Memory: new (pages: { initial: number; maximum: number }) => WasmMemory
  readonly Instance: new (module: object, imports: { env: { memory: WasmMemory } }) => { exports: unknown }
}

interface WasmMemory {
  readonly buffer: ArrayBuffer
}

interface StripModule {
  strip(read: number, write: number, end: number): number
  readonly write: { readonly value: number }
  readonly messages: { readonly value: number }
  readonly last: { readonly value: number }
}

const PAGE_BYTES = 65_536
/** Chunk and room for a read as the engine asks for them, and a page that the blocks of 16 bytes may overshoot into. */
const SLOT_BYTES = 1024 * 1024 + 2 * PAGE_BYTES
/** Slots share a memory because each memory reserves 8 GiB of addresses. Pages that are not written to cost nothing. */
const SLOTS_PER_MEMORY = 8
/** Slots at most: 64 connections with one chunk each. What is asked for above that is ordinary memory. */
const MAX_SLOTS = 64

/**
 * Receive buffers that are used again: fresh memory costs the kernel a page fault for each 4 KiB, about as much as the
 * copy out of the socket. The one that was released last is the next one taken, so that few are ever touched.
 */
export class ReceiveBuffers {
  readonly #free: Slot[] = []
  #slots = 0
  #module: object | undefined

  /** A buffer of `length` bytes; ordinary memory with the TypeScript loop where `length` is above a slot's. */
  take(length: number): ReceiveBuffer {
    const slot = length <= SLOT_BYTES - PAGE_BYTES ? this.#takeSlot() : undefined
    if (slot === undefined) return plainBuffer(length)
    const bytes = slot.bytes.subarray(0, length)
    let taken = true
    const release = () => {
      if (taken) this.#free.push(slot)
      taken = false
    }
    return { bytes, view: viewOf(bytes), strip: (cursor, end) => stripIn(slot, cursor, end), release }
  }

  #takeSlot(): Slot | undefined {
    if (this.#free.length === 0 && this.#slots < MAX_SLOTS) this.#addSlots()
    return this.#free.pop()
  }

  #addSlots(): void {
    this.#module ??= new WebAssembly.Module(Buffer.from(STRIP_WASM, 'base64'))
    const pages = (SLOT_BYTES / PAGE_BYTES) * SLOTS_PER_MEMORY
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    const module = new WebAssembly.Instance(this.#module, { env: { memory } }).exports as StripModule
    for (let start = (SLOTS_PER_MEMORY - 1) * SLOT_BYTES; start >= 0; start -= SLOT_BYTES) {
      this.#free.push({ module, start, bytes: Buffer.from(memory.buffer, start, SLOT_BYTES) })
    }
    this.#slots += SLOTS_PER_MEMORY
  }
}

/** A buffer's place in a WebAssembly memory. */
interface Slot {
  readonly module: StripModule
  readonly start: number
  readonly bytes: Buffer
}

function stripIn({ module, start }: Slot, cursor: StripCursor, end: number): void {
  cursor.read = module.strip(start + cursor.read, start + cursor.write, start + end) - start
  cursor.write = module.write.value - start
  const messages = module.messages.value
  if (messages === 0) return
  cursor.messages += messages
  cursor.last = module.last.value
}

/** Memory that the garbage collector takes back. */
export function plainBuffer(length: number): ReceiveBuffer {
  const bytes = Buffer.allocUnsafeSlow(length)
  const view = viewOf(bytes)
  return { bytes, view, strip: (cursor, end) => stripCopyData(bytes, view, cursor, end), release: () => undefined }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Of this process, for all its connections. */
export const receiveBuffers: ReceiveBuffers = new ReceiveBuffers()
