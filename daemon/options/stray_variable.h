/*
 * A variable BIFURCATED_... of the environment that is no option, but nearly the name of one.
 */
#ifndef BIFURCATED_OPTIONS_STRAY_VARIABLE_H
#define BIFURCATED_OPTIONS_STRAY_VARIABLE_H

#include <stddef.h>

/* Says what is mistyped and what may be meant; "" if nothing is. Others may use that beginning for variables
 * of their own (Kubernetes does, for a service of that name), so it is no error, and what is near to no
 * option is not told. */
void stray_variable_find(char *text, size_t size);

#endif
