/* Threads under the routes that threads and channels share. */
#pragma once

struct call;
struct channel;

/* PATCH /channels/{channel.id} of a thread the bot can see. */
void rest_patch_thread(struct call *c, struct channel *ch);
