/* Who sends emissions, as the writer wants to know it, and what it says when it could not store them. */
#pragma once

#include "api/faults.h"
#include "api/refusal.h"
#include "ingest/job.h"

struct api;
struct call;

/* Without asking the database: false where the credentials are such that it must be asked. */
bool emission_sender_at_once(const struct api *api, const struct http_request *request,
                             struct ingest_job *job);

/* The caller; one whose credentials do not count for the route is nobody, whom no run belongs to. */
void emission_sender_of_call(const struct call *call, struct ingest_job *job);

/* Notes what is wrong with an emission that was refused for what it holds: INGEST_REFUSED or INGEST_LATE. */
void emission_fault(enum ingest_verdict verdict, struct faults *faults);

/* For every outcome but INGEST_DONE. */
enum refusal emission_refusal(enum ingest_outcome outcome);
