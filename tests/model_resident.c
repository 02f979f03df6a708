/* The random operations of model_random.c where every hit leaves its lease resident, and every
   other entry takes the word over: stamps are brought back at every turn, and the order is still
   exact.

   model_resident [operations [first seed]]; 2,000,000 operations at the usual scale. */

#define SARKI_HOT_STEPS (UINT64_MAX / 2)
#define SARKI_YOUNG_STEPS 0
#define USUAL_OPERATIONS 2000000
#include "model_random.c"
