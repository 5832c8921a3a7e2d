#include "smtp/job.h"

#include <stdlib.h>
#include <string.h>

void
smtp_job_reset(struct smtp_job *job)
{
	size_t i;

	for (i = 0; i < job->n_recipients; i++) {
		free(job->recipients[i].reply);
		job->recipients[i].reply = NULL;
		job->recipients[i].outcome = SMTP_PENDING;
	}
	job->outcome = SMTP_PENDING;
	memset(&job->reply, 0, sizeof(job->reply));
	job->next = NULL;
	job->tries = 0;
}

const struct smtp_reply *
smtp_recipient_reply(const struct smtp_job *job, const struct smtp_recipient *recipient)
{
	return recipient->reply != NULL ? recipient->reply : &job->reply;
}

const char *
smtp_outcome_name(enum smtp_outcome outcome)
{
	switch (outcome) {
	case SMTP_PENDING:
		return "pending";
	case SMTP_SENT:
		return "sent";
	case SMTP_DEFERRED:
		return "deferred";
	case SMTP_FAILED:
		return "failed";
	case SMTP_UNCERTAIN:
		return "uncertain";
	case SMTP_UNSENT:
		return "unsent";
	case SMTP_UNSENT_ACCOUNT:
		return "unsent-account";
	}
	return "unknown";
}
