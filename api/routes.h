/*
 * The table of routes of this server: method and path, who answers, and who may ask.
 */
#ifndef BIFURCATED_API_ROUTES_H
#define BIFURCATED_API_ROUTES_H

#include "api/http/route.h"

extern const struct api_route_table api_routes;

#endif
