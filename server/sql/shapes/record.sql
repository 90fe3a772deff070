-- Records a deed: followed by the action, the organisation, the project, the target and its name, and by who did it
-- ({actor}).
insert into audit_records (address, action, organization_id, project_id, target_id, target, actor_id, actor)
select :address::text,
