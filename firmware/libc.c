/* The four functions a freestanding C compiler may call. Word-wise where both pointers allow it. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

typedef uint32_t __attribute__((may_alias)) word;

/* A barrier keeps the compiler from turning a loop into a call of the function it implements. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

static void *copy_forward(void *to, const void *from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((((uintptr_t)t | (uintptr_t)f) & 3u) == 0) {
        for (; bytes >= 16; bytes -= 16, t += 16, f += 16) {
            KEEP_LOOP();
            word a = ((const word *)(const void *)f)[0], b = ((const word *)(const void *)f)[1];
            word c = ((const word *)(const void *)f)[2], d = ((const word *)(const void *)f)[3];
            ((word *)(void *)t)[0] = a;
            ((word *)(void *)t)[1] = b;
            ((word *)(void *)t)[2] = c;
            ((word *)(void *)t)[3] = d;
        }
        for (; bytes >= 4; bytes -= 4, t += 4, f += 4) {
            KEEP_LOOP();
            *(word *)(void *)t = *(const word *)(const void *)f;
        }
    }
    for (; bytes > 0; bytes--) {
        KEEP_LOOP();
        *t++ = *f++;
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) { return copy_forward(to, from, bytes); }

void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= bytes) {
        return copy_forward(to, from, bytes); /* forward copying reads every byte before it is overwritten */
    }
    while (bytes > 0) {
        KEEP_LOOP();
        bytes--;
        t[bytes] = f[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    uint8_t *t = to;
    uint32_t pattern = (uint8_t)value * 0x01010101u;
    for (; bytes > 0 && ((uintptr_t)t & 3u) != 0; bytes--) {
        KEEP_LOOP();
        *t++ = (uint8_t)value;
    }
    for (; bytes >= 4; bytes -= 4, t += 4) {
        KEEP_LOOP();
        *(word *)(void *)t = pattern;
    }
    for (; bytes > 0; bytes--) {
        KEEP_LOOP();
        *t++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *left, const void *right, size_t bytes) {
    const uint8_t *l = left, *r = right;
    for (; bytes > 0; bytes--, l++, r++) {
        if (*l != *r) {
            return *l - *r;
        }
    }
    return 0;
}
