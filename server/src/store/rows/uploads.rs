//! Uploads in parts: from their first part until an entry names them, or nothing did in time.
//!
//! What hangs on an entry stays where its parts were put, under the upload: so the entry itself is small, whoever it is
//! for, and no other entry waits behind the rows of a huge one.

use super::read::View;
use super::records::{self, UploadRecord, UploadState, UploaderRecord, log_key, part_key};
use super::stage::Stage;
use super::{Rows, Table};
use crate::limits::{FORGET_ROWS, MAX_KEPT_UPLOADS, MAX_OPEN_UPLOADS};
use crate::store::{Append, Part, Rejected, StoreError, StoredUpload, Written};
use conclave_wire::codec;
use conclave_wire::ids::{DeviceId, GroupId, Opaque, Seq, Timestamp, UploadId};
use conclave_wire::limits::MAX_UPLOAD_BYTES;

/// Devices with uploads that are read at once.
const UPLOADERS: usize = 256;

/// Keys of an upload's rows that are read at once.
const PARTS: usize = 4096;

impl<R: Rows> Stage<'_, R> {
    /// Takes the next part of an upload. One that is there already changes nothing, whatever it holds.
    pub(super) fn stage_part(&mut self, part: &Part) -> Result<Result<Written, Rejected>, StoreError> {
        let record = match self.upload(&part.upload)? {
            Some(record) if record.by != part.by || record.state == UploadState::Forgotten => {
                return Ok(Err(Rejected::UnknownUpload));
            }
            Some(record) if part.number < record.parts => return Ok(Ok(Written::Done)),
            Some(record) if record.state == UploadState::Named => return Ok(Err(Rejected::UnknownUpload)),
            Some(record) => record,
            None => {
                if !self.begin_upload(part)? {
                    return Ok(Err(Rejected::TooManyUploads));
                }
                let state = UploadState::Open;
                UploadRecord { by: part.by, began: part.now, parts: 0, bytes: 0, largest: 0, state }
            }
        };
        if part.number != record.parts {
            return Ok(Err(Rejected::PartOutOfOrder { expected: record.parts }));
        }
        let sizes = || part.deliveries.iter().map(|(_, delivery)| delivery.len() as u64);
        let bytes = record.bytes.saturating_add(sizes().sum());
        if bytes > MAX_UPLOAD_BYTES {
            return Ok(Err(Rejected::UploadTooLarge));
        }
        for (device, delivery) in &part.deliveries {
            self.appended.push((Table::Part, part_key(&part.upload, device), delivery.to_vec()));
        }
        let largest = sizes().fold(record.largest, u64::max);
        let record = UploadRecord { parts: record.parts.saturating_add(1), bytes, largest, ..record };
        self.put(Table::Upload, part.upload.as_bytes().to_vec(), codec::encode(&record));
        Ok(Ok(Written::Done))
    }

    /// Enters an upload in its device's list, if there is room. What it replaces there is forgotten.
    fn begin_upload(&mut self, part: &Part) -> Result<bool, StoreError> {
        if part.number != 0 {
            // Refused by whoever asks, for its number.
            return Ok(true);
        }
        let mut uploads = self.unnamed_uploads(&part.by)?;
        if uploads.len() >= MAX_KEPT_UPLOADS {
            return Ok(false);
        }
        let mut open = Vec::new();
        for upload in &uploads {
            open.extend(
                self.upload(upload)?.filter(|record| record.state == UploadState::Open).map(|r| (*upload, r)),
            );
        }
        // A commit that lost its race leaves one behind.
        if let (true, Some((oldest, record))) = (open.len() >= MAX_OPEN_UPLOADS, open.first()) {
            let record = UploadRecord { state: UploadState::Forgotten, ..*record };
            self.put(Table::Upload, oldest.as_bytes().to_vec(), codec::encode(&record));
        }
        uploads.push(part.upload);
        self.put_uploader(&part.by, uploads);
        Ok(true)
    }

    /// The uploads of a device that no entry has named.
    fn unnamed_uploads(&self, device: &DeviceId) -> Result<Vec<UploadId>, StoreError> {
        let record = match self.row(Table::Uploader, device.as_bytes())? {
            Some(bytes) => records::decode::<UploaderRecord>(&bytes)?,
            None => UploaderRecord::default(),
        };
        let mut open = Vec::new();
        for upload in record.uploads {
            if self.upload(&upload)?.is_some_and(|record| record.state != UploadState::Named) {
                open.push(upload);
            }
        }
        Ok(open)
    }

    fn put_uploader(&mut self, device: &DeviceId, uploads: Vec<UploadId>) {
        let row = (!uploads.is_empty()).then(|| codec::encode(&UploaderRecord { uploads }));
        self.set(Table::Uploader, device.as_bytes().to_vec(), row);
    }

    /// Whether the upload that an entry names is as it was when the entry was checked.
    pub(super) fn has_upload(&self, append: &Append) -> Result<bool, StoreError> {
        let Some(staged) = &append.staged else { return Ok(true) };
        let record = self.upload(&staged.upload)?;
        Ok(record.is_some_and(|record| record.state == UploadState::Open && record.parts == staged.parts))
    }

    /// Gives an upload to an entry.
    pub(super) fn name_upload(
        &mut self,
        upload: &UploadId,
        group: &GroupId,
        seq: Seq,
    ) -> Result<(), StoreError> {
        let record = self.upload(upload)?.ok_or(StoreError::Damaged("upload record"))?;
        let record = UploadRecord { state: UploadState::Named, ..record };
        self.put(Table::Upload, upload.as_bytes().to_vec(), codec::encode(&record));
        self.put(Table::Named, log_key(group, seq), upload.as_bytes().to_vec());
        let unnamed = self.unnamed_uploads(&record.by)?;
        self.put_uploader(&record.by, unnamed);
        Ok(())
    }

    /// Forgets a few rows of what nothing has named. First it is marked, so that nothing comes to it any more; then its
    /// rows go, and the record that leads to them last.
    pub(super) fn forget_uploads(
        &mut self,
        before: Timestamp,
    ) -> Result<Result<Written, Rejected>, StoreError> {
        let mut room = FORGET_ROWS;
        for row in self.rows.prefix(Table::Uploader, &[], UPLOADERS) {
            if room == 0 {
                break;
            }
            let device = DeviceId::from_bytes(records::fixed(row?.0.as_ref(), "uploader key")?);
            let mut open = self.unnamed_uploads(&device)?;
            let before_this = open.len();
            let mut gone = Vec::new();
            for upload in &open {
                let Some(record) = self.upload(upload)? else { continue };
                let late = record.began < before || record.state == UploadState::Forgotten;
                if late && self.forget_upload(upload, record, &mut room)? {
                    gone.push(*upload);
                }
            }
            open.retain(|upload| !gone.contains(upload));
            if open.len() != before_this || open.is_empty() {
                self.put_uploader(&device, open);
            }
        }
        Ok(Ok(Written::Done))
    }

    /// Whether nothing is left of it.
    pub(super) fn forget_upload(
        &mut self,
        upload: &UploadId,
        record: UploadRecord,
        room: &mut usize,
    ) -> Result<bool, StoreError> {
        let key = upload.as_bytes().to_vec();
        if record.state == UploadState::Open {
            let record = UploadRecord { state: UploadState::Forgotten, ..record };
            self.put(Table::Upload, key, codec::encode(&record));
            return Ok(false);
        }
        if *room == 0 {
            // What is left of it is not known.
            return Ok(false);
        }
        let gone = self.rows.keys_of(Table::Part, upload.as_bytes(), *room, *room)?;
        *room = room.saturating_sub(gone.len());
        for key in &gone {
            self.set(Table::Part, key.as_ref().to_vec(), None);
        }
        if !gone.is_empty() {
            return Ok(false);
        }
        self.set(Table::Upload, key, None);
        Ok(true)
    }

    fn upload(&self, upload: &UploadId) -> Result<Option<UploadRecord>, StoreError> {
        self.row(Table::Upload, upload.as_bytes())?.map(|bytes| records::decode(&bytes)).transpose()
    }
}

impl<R: Rows> View<R> {
    /// An upload that an entry may name.
    pub(in crate::store) fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError> {
        let Some(record) = self.record::<UploadRecord>(Table::Upload, upload.as_bytes())? else {
            return Ok(None);
        };
        if record.state != UploadState::Open {
            return Ok(None);
        }
        let keys = self.0.keys_of(Table::Part, upload.as_bytes(), PARTS, usize::MAX)?;
        let device = |key: &R::Bytes| records::suffix(key.as_ref(), "part key").map(DeviceId::from_bytes);
        let devices = keys.iter().map(device).collect::<Result<_, _>>()?;
        Ok(Some(StoredUpload { by: record.by, parts: record.parts, largest: record.largest, devices }))
    }

    /// What hangs on an entry for a device and came in parts.
    pub(super) fn part_of(
        &self,
        group: &GroupId,
        seq: Seq,
        device: &DeviceId,
    ) -> Result<Option<Opaque>, StoreError> {
        let Some(upload) = self.0.get(Table::Named, &log_key(group, seq))? else {
            return Ok(None);
        };
        let upload = UploadId::from_bytes(records::fixed(upload.as_ref(), "named upload")?);
        let part = self.0.get(Table::Part, &part_key(&upload, device))?;
        // A device that cannot be reached has an empty one.
        Ok(part.map(|bytes| Opaque(bytes.as_ref().to_vec())).filter(|part| !part.0.is_empty()))
    }
}
