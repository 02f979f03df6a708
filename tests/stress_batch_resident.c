/* stress_batch.c where every hit leaves its lease resident: stamps stand beside leases. */

#define SARKI_HOT_UNITS (UINT64_MAX / 2)
#define SARKI_YOUNG_UNITS 0
#define SARKI_IS_HOT(last, stamp) true
#include "stress_batch.c"
