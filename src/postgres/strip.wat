;; The hot loop of COPY … TO STDOUT: takes the headers out of CopyData messages where they lie. strip.ts is its twin in
;; TypeScript and says what both do; `npm run build:wasm` makes strip-wasm.ts of this file.
(module
  (memory (import "env" "memory") 1)
  (global $write (export "write") (mut i32) (i32.const 0))
  (global $messages (export "messages") (mut i32) (i32.const 0))
  (global $last (export "last") (mut i32) (i32.const 0))

  ;; Returns where the first message begins that is incomplete or none of CopyData; the globals hold the rest.
  (func (export "strip") (param $read i32) (param $to i32) (param $end i32) (result i32)
    (local $length i32) (local $size i32) (local $from i32) (local $stop i32) (local $count i32)
    (block $done
      (loop $message
        (br_if $done (i32.gt_u (i32.add (local.get $read) (i32.const 5)) (local.get $end)))
        (br_if $done (i32.ne (i32.load8_u (local.get $read)) (i32.const 0x64)))
        (local.set $length (call $big_endian (i32.load offset=1 align=1 (local.get $read))))
        ;; Unsigned: a negative length is larger than any buffer.
        (br_if $done
          (i32.gt_u (local.get $length) (i32.sub (i32.sub (local.get $end) (local.get $read)) (i32.const 1))))
        (br_if $done (i32.lt_u (local.get $length) (i32.const 4)))
        (local.set $size (i32.sub (local.get $length) (i32.const 4)))
        (local.set $from (i32.add (local.get $read) (i32.const 5)))
        (local.set $read (i32.add (local.get $from) (local.get $size)))
        (local.set $stop (i32.add (local.get $to) (local.get $size)))
        (if (call $needs_exact_copy (i32.sub (local.get $from) (local.get $to)) (local.get $size))
          (then (memory.copy (local.get $to) (local.get $from) (local.get $size)))
          (else
            (loop $block
              (v128.store align=1 (local.get $to) (v128.load align=1 (local.get $from)))
              (local.set $to (i32.add (local.get $to) (i32.const 16)))
              (local.set $from (i32.add (local.get $from) (i32.const 16)))
              (br_if $block (i32.lt_u (local.get $to) (local.get $stop))))))
        (local.set $to (local.get $stop))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br $message)))
    (global.set $write (local.get $to))
    (global.set $messages (local.get $count))
    (global.set $last (local.get $size))
    (local.get $read))

  (func $big_endian (param $word i32) (result i32)
    (i32.or
      (i32.and (i32.rotl (local.get $word) (i32.const 8)) (i32.const 0x00ff00ff))
      (i32.and (i32.rotr (local.get $word) (i32.const 8)) (i32.const 0xff00ff00))))

  ;; Blocks of 16 overshoot a payload by up to 15 bytes, which must fit into the gap before the next message; and above
  ;; half a kilobyte the engine's own copy is faster.
  (func $needs_exact_copy (param $gap i32) (param $size i32) (result i32)
    (i32.or (i32.lt_u (local.get $gap) (i32.const 16)) (i32.gt_u (local.get $size) (i32.const 512)))))
