select {project} from visible_projects(:caller) p where p.id = :project_id
