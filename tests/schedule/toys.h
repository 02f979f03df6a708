/* Programs with a bug each, which the scheduler has to find: else it would find none elsewhere. */

#ifndef SARK_SCHEDULE_TOYS_H
#define SARK_SCHEDULE_TOYS_H

#include "schedule/driver.h"

static struct toy {
    sarki_a32 a_count;
    sarki_mutex one, other;
    sarki_condition changed;
    bool is_ready;
} toy;

/* An update is lost between the load and the store. */
static void toy_lose_update(void)
{
    sarki_store32_relaxed(&toy.a_count, sarki_load32_relaxed(&toy.a_count) + 1);
}

static void toy_lock_in_order(void)
{
    sarki_lock(&toy.one);
    sarki_lock(&toy.other);
    sarki_unlock(&toy.other);
    sarki_unlock(&toy.one);
}

static void toy_lock_in_other_order(void)
{
    sarki_lock(&toy.other);
    sarki_lock(&toy.one);
    sarki_unlock(&toy.one);
    sarki_unlock(&toy.other);
}

/* The change comes between the look and the wait. */
static void toy_wait_too_late(void)
{
    sarki_lock(&toy.one);
    bool is_ready = toy.is_ready;
    sarki_unlock(&toy.one);
    sarki_lock(&toy.one);
    if (!is_ready) sarki_wait(&toy.changed, &toy.one);
    sarki_unlock(&toy.one);
}

static void toy_change(void)
{
    sarki_lock(&toy.one);
    toy.is_ready = true;
    sarki_wake_all(&toy.changed);
    sarki_unlock(&toy.one);
}

/* A wait may end without a change. */
static void toy_wait_once(void)
{
    sarki_lock(&toy.one);
    if (!toy.is_ready) sarki_wait(&toy.changed, &toy.one);
    schedule_require(toy.is_ready, "nothing has changed");
    sarki_unlock(&toy.one);
}

static const struct toy_script {
    const char *name;
    void (*bodies[2])(void);
} toy_scripts[] = {
    {"lost-update", {toy_lose_update, toy_lose_update}},
    {"two-orders-of-locks", {toy_lock_in_order, toy_lock_in_other_order}},
    {"late-wait", {toy_wait_too_late, toy_change}},
    {"one-wait", {toy_wait_once, toy_change}},
};
enum { TOY_SCRIPTS = sizeof toy_scripts / sizeof toy_scripts[0] };

static void *toy_thread_run(void *argument)
{
    void (*const *body)(void) = argument;
    (*body)();
    return NULL;
}

static void toy_run(const scenario *tested, uint64_t seed)
{
    static void (*bodies[2])(void);
    memset(&toy, 0, sizeof toy);
    schedule_begin(seed);
    for (unsigned i = 0; i < 2; i++) {
        bodies[i] = toy_scripts[tested->one].bodies[i];
        schedule_start(toy_thread_run, &bodies[i]);
    }
    driver_arm();
    for (unsigned i = 0; i < 2; i++) schedule_join(i + 1);
    driver_disarm();
    bool updates = toy_scripts[tested->one].bodies[0] == toy_lose_update;
    schedule_require(!updates || sarki_load32_relaxed(&toy.a_count) == 2, "an update is lost");
}

/* Each bug is found in few schedules. */
static void toys_run(uint64_t first_seed)
{
    for (unsigned i = 0; i < TOY_SCRIPTS; i++) {
        scenario tested = {"", toy_run, i, 0, 1};
        snprintf(tested.name, sizeof tested.name, "%s", toy_scripts[i].name);
        driver_must_find(&tested, first_seed, 1000);
    }
}

#endif
