#include "verify_passes.h"

#include "device_run.h"

typedef struct whole_run {
    const cli_request *request;
    const at_kernel *kernel;
    actune_context *context;
} whole_run;

static actune_status run_plan(void *user, actune_shape shape, void *const *port)
{
    const whole_run *run = user;
    const at_signature *signature = &run->kernel->signature;
    bool backward = signature->direction == ACTUNE_BACKWARD;
    actune_plan_desc desc = {.spec = run->request->spec,
                             .direction = signature->direction,
                             .dtype_in = signature->dtype_in,
                             .dtype_out = signature->dtype_out,
                             .shape = shape,
                             .gradients = run->request->gradient,
                             .gradient_count = backward ? run->request->gradients : 0,
                             .in_place = port[signature->inputs] == port[backward]};
    actune_buffer buffers[AT_PORTS_MAX];
    actune_plan *plan;
    for (int i = 0; i < signature->ports; i++)
        buffers[i] = (actune_buffer){port[i], at_port_count(&signature->port[i], shape), signature->port[i].dtype};
    AT_TRY(actune_plan_create(run->context, &desc, &plan));
    actune_status status = cli_execute(plan, run->request->device, buffers, signature->ports);
    actune_plan_destroy(plan);
    return status;
}

actune_status cli_verify_passes(const cli_request *request, const at_kernel *kernel, at_layout layout, at_verify_report *report)
{
    whole_run run = {.request = request, .kernel = kernel};
    const actune_context_options how = {.database = "", .device = request->device};
    at_verify_target target = {.run = run_plan, .run_user = &run};
    at_reference reference = {0};
    AT_TRY(actune_context_open(&how, &run.context));
    actune_status status = at_reference_init(&reference, kernel, layout, 1);
    if (!status)
        status = at_verify(&reference, &target, report);
    at_reference_clear(&reference);
    actune_context_close(run.context);
    return status;
}
