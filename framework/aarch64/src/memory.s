// memcpy, memmove, memset and memcmp. Those that come with the compiler go eight
// bytes at a time, the last one a byte; most of what eVisor does before a guest
// starts is to move bytes about and to compare names.
//
// Both sides are Normal memory, which may be accessed at any address.

.section .text.memory, "ax"

// x0 = to, x1 = from, x2 = bytes; x0 is returned.
.global memmove
memmove:
    sub     x3, x0, x1
    cmp     x3, x2
    b.lo    backward                    // `to` lies inside of what is read
.global memcpy
memcpy:
// The same by a name of which the compiler knows nothing: what somebody else writes
// meanwhile is read once.
.global copy_each_once
copy_each_once:
    mov     x3, x0
    subs    x2, x2, #64
    b.lo    2f
1:  ldp     x4, x5, [x1], #16
    ldp     x6, x7, [x1], #16
    ldp     x8, x9, [x1], #16
    ldp     x10, x11, [x1], #16
    stp     x4, x5, [x3], #16
    stp     x6, x7, [x3], #16
    stp     x8, x9, [x3], #16
    stp     x10, x11, [x3], #16
    subs    x2, x2, #64
    b.hs    1b
2:  tbz     x2, #5, 2f                  // of x2, less by 64s, the low bits are left
    ldp     x4, x5, [x1], #16
    ldp     x6, x7, [x1], #16
    stp     x4, x5, [x3], #16
    stp     x6, x7, [x3], #16
2:  tbz     x2, #4, 3f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x3], #16
3:  tbz     x2, #3, 4f
    ldr     x4, [x1], #8
    str     x4, [x3], #8
4:  tbz     x2, #2, 5f
    ldr     w4, [x1], #4
    str     w4, [x3], #4
5:  tbz     x2, #1, 6f
    ldrh    w4, [x1], #2
    strh    w4, [x3], #2
6:  tbz     x2, #0, 7f
    ldrb    w4, [x1]
    strb    w4, [x3]
7:  ret

backward:
    add     x1, x1, x2
    add     x3, x0, x2
    subs    x2, x2, #16
    b.lo    2f
1:  ldp     x4, x5, [x1, #-16]!
    stp     x4, x5, [x3, #-16]!
    subs    x2, x2, #16
    b.hs    1b
2:  adds    x2, x2, #16
    b.eq    4f
3:  ldrb    w4, [x1, #-1]!
    strb    w4, [x3, #-1]!
    subs    x2, x2, #1
    b.ne    3b
4:  ret

// x0 = to, w1 = byte, x2 = bytes; x0 is returned.
.global memset
memset:
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
    mov     x3, x0
    subs    x2, x2, #32
    b.lo    2f
1:  stp     x1, x1, [x3], #16
    stp     x1, x1, [x3], #16
    subs    x2, x2, #32
    b.hs    1b
2:  tbz     x2, #4, 3f
    stp     x1, x1, [x3], #16
3:  tbz     x2, #3, 4f
    str     x1, [x3], #8
4:  tbz     x2, #2, 5f
    str     w1, [x3], #4
5:  tbz     x2, #1, 6f
    strh    w1, [x3], #2
6:  tbz     x2, #0, 7f
    strb    w1, [x3]
7:  ret

// x0, x1 = bytes to be compared, x2 = how many; w0 = 0 if they are equal, 1 or -1 as
// the first that differs says.
.global memcmp
.global bcmp
memcmp:
bcmp:
    subs    x2, x2, #8
    b.lo    2f
1:  ldr     x3, [x0], #8
    ldr     x4, [x1], #8
    cmp     x3, x4
    b.ne    6f
    subs    x2, x2, #8
    b.hs    1b
2:  tbz     x2, #2, 3f                  // as above
    ldr     w3, [x0], #4
    ldr     w4, [x1], #4
    cmp     w3, w4
    b.ne    6f
3:  tbz     x2, #1, 4f
    ldrh    w3, [x0], #2
    ldrh    w4, [x1], #2
    cmp     w3, w4
    b.ne    6f
4:  tbz     x2, #0, 5f
    ldrb    w3, [x0]
    ldrb    w4, [x1]
    cmp     w3, w4
    b.ne    6f
5:  mov     w0, #0
    ret
6:  rev     x3, x3                      // the first byte is the greatest now
    rev     x4, x4
    cmp     x3, x4
    mov     w0, #1
    cneg    w0, w0, lo
    ret
