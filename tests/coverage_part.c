/* Linked into programs built for coverage, with --wrap=fork and --wrap=_exit: what a child of fork
   counted is kept too. A profile is written by exit alone, so _exit writes it first; and a child
   counts from zero, since calls that were under way in other threads have begun in its copy of the
   counts and never end. One that ends with an error may be anywhere, and writes nothing. */

#include <sys/types.h>

int __llvm_profile_write_file(void);
void __llvm_profile_reset_counters(void);
pid_t __real_fork(void);
_Noreturn void __real__exit(int status);
pid_t __wrap_fork(void);
_Noreturn void __wrap__exit(int status);

pid_t __wrap_fork(void)
{
    pid_t child = __real_fork();
    if (child == 0) __llvm_profile_reset_counters();
    return child;
}

_Noreturn void __wrap__exit(int status)
{
    if (status == 0) (void)__llvm_profile_write_file();
    __real__exit(status);
}
