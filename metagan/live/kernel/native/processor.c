// What this processor, under this system, can run: compiled for every one of its kind, and so a library of its own.
#define EXPORT(name) __attribute__((visibility("default"))) name

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long enabled_state(void) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (unsigned long long)high << 32 | low;
}

#define HAS(word, bits) (((word) & (bits)) == (bits))

// The level of x86-64 (psABI, section 3.1.1), 1 to 4; wide registers count when the system saves them, too.
int EXPORT(x86_64_level)(void) {
  unsigned a, b, c, d, b7, c1, extended;
  if (!__get_cpuid(1, &a, &b, &c1, &d)) return 1;
  unsigned v2 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B;
  if (!HAS(c1, v2)) return 1;
  unsigned v3 = bit_AVX | bit_FMA | bit_F16C | bit_MOVBE | bit_OSXSAVE, wide = bit_AVX2 | bit_BMI | bit_BMI2;
  if (!HAS(c1, v3) || !__get_cpuid_count(7, 0, &a, &b7, &c, &d) || !HAS(b7, wide)) return 2;
  if (!__get_cpuid(0x80000001, &a, &b, &extended, &d) || !HAS(extended, bit_LZCNT)) return 2;
  unsigned long long state = enabled_state();
  if (!HAS(state, 0x06)) return 2;  // of 256 bits
  unsigned v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
  return HAS(b7, v4) && HAS(state, 0xe6) ? 4 : 3;
}
#endif
