#include "cmd/deliver/settle.h"

#include "cmd/deliver/delivery.h"
#include "policy/account.h"

/* Its outcome is on record: what became of its slots. */
static void
count_slots(struct work *work)
{
	for (size_t i = 0; i < work->slot_count; i++)
		if (work->left)
			work->slots[i]->left++;
		else
			work->slots[i]->unused++;
}

int
settle_aside(struct work *work, const struct account_domain *domain, char ret_lane[LANE_MAX + 1],
    struct err *err)
{
	struct claim *claim = &work->claim;
	struct lane lane;
	int result;

	if (lane_parse(claim_lane(claim), &lane) < 0 ||
	    lane_format(lane.account, lane.batch, domain->domain, ret_lane) < 0)
		result = err_set(err, EX_DATAERR, "%s: no lane can be named for %s", claim->text,
		    domain->domain);
	else
		result = runner_put_aside(claim, ret_lane, err);
	work_free(work);
	return result;
}

int
settle_work(struct work *work, struct err *err)
{
	struct claim *claim = &work->claim;
	int result = 0;

	switch (work->plan) {
	case PLAN_SENT:
		result = runner_settle_sent(claim, err);
		break;
	case PLAN_DEFERRED:
		result = runner_settle_deferred(claim, work->due,
		    work->not_before > 0 && work->due == work->not_before, err);
		break;
	case PLAN_FAILED:
		result = runner_settle_failed(claim, err);
		break;
	case PLAN_UNCERTAIN:
		result = runner_settle_uncertain(claim, err);
		break;
	case PLAN_CORRUPT:
		result = runner_settle_corrupt(claim, err);
		break;
	case PLAN_PUT_BACK:
	case PLAN_FETCH:
	case PLAN_NONE:
		result = runner_put_back(claim, err);
		/* Another account may take it over, now that it can be found again. */
		if (work->outlet->faulted)
			delivery_replan(work->outlet->delivery);
		break;
	}
	count_slots(work);
	work->outlet->in_hand--;
	work_free(work);
	return result;
}
