select {organization} from {reachable_organizations} o where o.id = :organization_id
