/* The deadlines of expiry_real.c with the choices of portable.h: the one clock is precise. */

#include "portable.h"

#include "expiry_real.c"
