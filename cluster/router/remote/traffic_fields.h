// The members of parcels as records: writing, and reading with everything checked.
//
// Thread: any. Owner: parcel_codec. Errors: a reader that meets what nobody writes fails.
#pragma once

#include "cluster/router/traffic.h"
#include "proto/base/bytes.h"

namespace quorate::cluster {

void write_field(RecordWriter& out, const CommandParcel& batch);
void write_field(RecordWriter& out, const PublishBatch& batch);
void write_field(RecordWriter& out, const GroupBatch& batch);
void write_field(RecordWriter& out, const DeliveryBatch& batch);
void write_field(RecordWriter& out, const TakenBatch::Taken& taken);
void write_field(RecordWriter& out, const GroupPublish& publish);
void write_field(RecordWriter& out, const Want& want);
void write_field(RecordWriter& out, const SharedAck& ack);
void write_field(RecordWriter& out, const SharedPresence& presence);
void write_field(RecordWriter& out, const RetainedQuery& query);
void write_field(RecordWriter& out, const RetainedPage& page);
void write_field(RecordWriter& out, const HandOver& entry);
void write_field(RecordWriter& out, const HandOverDone& done);
void write_field(RecordWriter& out, const SharedDelivery& delivery);
void write_field(RecordWriter& out, const LetGoRequest& request);
void write_field(RecordWriter& out, const GroupAnswer& answer);
void write_field(RecordWriter& out, const StreamParcel& stream);
void write_field(RecordWriter& out, const StreamAnswer& answer);
void write_field(RecordWriter& out, const NodeCopy& copy);
void write_field(RecordWriter& out, const NodeCopyAnswer& answer);

void read_field(RecordReader& in, CommandParcel& batch);
void read_field(RecordReader& in, PublishBatch& batch);
void read_field(RecordReader& in, GroupBatch& batch);
void read_field(RecordReader& in, DeliveryBatch& batch);
void read_field(RecordReader& in, TakenBatch::Taken& taken);
void read_field(RecordReader& in, GroupPublish& publish);
void read_field(RecordReader& in, Want& want);
void read_field(RecordReader& in, SharedAck& ack);
void read_field(RecordReader& in, SharedPresence& presence);
void read_field(RecordReader& in, RetainedQuery& query);
void read_field(RecordReader& in, RetainedPage& page);
void read_field(RecordReader& in, HandOver& entry);
void read_field(RecordReader& in, HandOverDone& done);
void read_field(RecordReader& in, SharedDelivery& delivery);
void read_field(RecordReader& in, LetGoRequest& request);
void read_field(RecordReader& in, GroupAnswer& answer);
void read_field(RecordReader& in, StreamParcel& stream);
void read_field(RecordReader& in, StreamAnswer& answer);
void read_field(RecordReader& in, NodeCopy& copy);
void read_field(RecordReader& in, NodeCopyAnswer& answer);

}  // namespace quorate::cluster
