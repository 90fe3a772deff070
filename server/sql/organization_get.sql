select {organization} from reachable_organizations(:caller) o where o.id = :organization_id
