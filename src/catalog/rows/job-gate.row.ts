import { Entity, PrimaryColumn } from 'typeorm';

/** The one row that whoever claims jobs locks first, so that no two count the same room. */
@Entity('job_gate')
export class JobGateRow {
  @PrimaryColumn('boolean', { primaryKeyConstraintName: 'job_gate_pkey' })
  only!: boolean;
}
